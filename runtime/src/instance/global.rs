//! The `Keylatch` that functions use which name none.

use std::sync::OnceLock;
use std::time::Duration;

use super::handle::Handle;
use super::{Keylatch, Tuning};
use crate::invalidation::Kept;
use crate::key::Namespace;
use crate::store::{AnyStore, UnusableStore};
use crate::telemetry;

static GLOBAL: OnceLock<Keylatch> = OnceLock::new();

/// There is a global [`Keylatch`] already.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a global `Keylatch` exists already, installed earlier or made from the environment by the first call of a cached \
     function; install before the first call"
)]
pub struct AlreadyInstalled;

pub(super) fn install(keylatch: Keylatch) -> Result<(), AlreadyInstalled> {
    GLOBAL.set(keylatch).map_err(|_| AlreadyInstalled)
}

/// The one that `using = ..` names.
#[must_use]
#[inline]
pub fn home<K: AsRef<Keylatch> + ?Sized>(keylatch: &K) -> Keylatch {
    keylatch.as_ref().clone()
}

/// The installed one, else one from the environment. A bad environment must not change any answer: then bodies run, locks
/// are refused, and the fault is traced once as an error.
#[must_use]
pub fn global() -> Keylatch {
    let make = || {
        Keylatch::from_env().unwrap_or_else(|error| {
            telemetry::unusable(&error);
            Keylatch::assemble(
                Namespace::by_default(),
                AnyStore::Unusable(UnusableStore::new(error)),
                Vec::new(),
                Kept::new(Duration::ZERO),
                Tuning::default(),
            )
        })
    };
    Keylatch(Handle::OfProcess(&GLOBAL.get_or_init(make).0))
}
