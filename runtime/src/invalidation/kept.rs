//! Invalidations that the server could not be told. Nothing is read before it has been.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::Target;
use super::target::carry_out;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::Store;
use crate::{Keylatch, clock, telemetry};

/// How many are kept. When there are more, everything is invalidated instead.
const LIMIT: usize = 10_000;
/// The pause between two tries in the background.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Kept {
    any: AtomicBool,
    targets: Mutex<Vec<Target>>,
    /// Readers wait for the one that repeats.
    repeating: tokio::sync::Mutex<()>,
    /// Whether a task repeats in the background, for processes that do not read.
    in_background: AtomicBool,
}

impl Kept {
    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    fn keep(&self, targets: Vec<Target>, all: &Key) -> usize {
        let mut kept = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        kept.extend(targets);
        if kept.len() > LIMIT {
            *kept = vec![Target::Key(all.clone())];
        }
        self.any.store(true, Ordering::Release);
        kept.len()
    }

    /// Repeats what is kept, in order; puts it back if that fails.
    pub(crate) async fn repeat(&self, store: &impl Store) -> Result<()> {
        let _repeating = self.repeating.lock().await;
        let targets = self.targets.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if targets.is_empty() {
            return Ok(());
        }
        carry_out(store, &targets).await?;
        telemetry::invalidations_repeated(targets.len());
        let mut kept = self.targets.lock().unwrap_or_else(PoisonError::into_inner);
        // What was added meanwhile stays. An overflow has replaced them all, and stays, too.
        if kept.starts_with(&targets) {
            kept.drain(..targets.len());
        }
        self.any.store(!kept.is_empty(), Ordering::Release);
        Ok(())
    }
}

/// Keeps what failed, and sees to it that it is repeated even if nobody reads.
pub(crate) fn keep(home: &Keylatch, targets: Vec<Target>, error: &Error) {
    let pending = home.kept().keep(targets, home.space().all());
    telemetry::invalidation_kept(error, pending);
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if home.kept().in_background.swap(true, Ordering::AcqRel) {
        return;
    }
    let home = home.clone();
    runtime.spawn(async move {
        let mut pause = FIRST_PAUSE;
        while !home.kept().is_empty() {
            clock::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // The failure is the same as the one that was reported when these were kept.
            let _ = home.kept().repeat(home.store()).await;
        }
        home.kept().in_background.store(false, Ordering::Release);
    });
}
