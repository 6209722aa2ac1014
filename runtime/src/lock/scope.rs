//! A lock that is passed down: a function that needs a lock its caller has takes it from the caller instead of waiting for
//! itself for ever. What is passed is what counts; which thread or task runs is not asked.

use super::lease::Lease;
use super::options::LockBuilder;
use super::{LockError, LockGuard, Sharing};
use crate::key::{Key, is_permit_of};

/// What can be passed down as a lock that the caller has: a [`Lease`], a [`LockGuard`], and each of them in an `Option`, where
/// `None` says that the caller has none. See [`LockBuilder::within`].
#[diagnostic::on_unimplemented(
    message = "`{Self}` is no lock that could be passed down",
    label = "pass the caller's `keylatch::Lease` or `keylatch::LockGuard`, or an `Option` of one"
)]
pub trait Passed {
    /// The lease of the lock that is passed down, if one is.
    fn passed(&self) -> Option<&Lease>;
}

impl Passed for Lease {
    fn passed(&self) -> Option<&Lease> {
        Some(self)
    }
}

impl Passed for LockGuard {
    fn passed(&self) -> Option<&Lease> {
        Some(self.lease())
    }
}

#[diagnostic::do_not_recommend]
impl<T: Passed> Passed for Option<T> {
    fn passed(&self) -> Option<&Lease> {
        self.as_ref().and_then(Passed::passed)
    }
}

#[diagnostic::do_not_recommend]
impl<T: Passed + ?Sized> Passed for &T {
    fn passed(&self) -> Option<&Lease> {
        (**self).passed()
    }
}

/// The caller's lock, known to be the one that is needed.
#[derive(Debug)]
pub(super) struct Within {
    /// What was asked for.
    pub(super) key: Key,
    pub(super) lease: Lease,
}

impl Within {
    /// # Errors
    /// [`LockError::NotCovered`]: what was passed down is not the lock that `options` ask for, or not any more.
    pub(super) fn new(options: &LockBuilder, lease: Lease) -> Result<Self, LockError> {
        let key = options.key.clone();
        match fault(options, &lease) {
            None => Ok(Self { key, lease }),
            Some(fault) => Err(LockError::NotCovered { key, fault }),
        }
    }
}

/// Why `lease` does not stand for the lock that `options` ask for.
fn fault(options: &LockBuilder, lease: &Lease) -> Option<&'static str> {
    if lease.check().is_err() {
        return Some("it has been lost or released");
    }
    if !options.home.is(lease.home()) {
        return Some("it is of another `Keylatch`");
    }
    for key in options.keys() {
        let stands_for = |part: &&Lease| part.key() == key || is_permit_of(part.key(), key);
        let Some(part) = lease.parts().find(stands_for) else {
            return Some("it is another lock");
        };
        if options.sharing == Sharing::Alone && part.sharing() != Sharing::Alone {
            return Some("it is shared, and is needed alone");
        }
        if options.fence && part.token().is_none() {
            return Some("it has no fencing token");
        }
    }
    None
}
