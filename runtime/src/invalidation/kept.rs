//! Invalidations that the server could not be told. Nothing is read before it has been.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Target;
use super::target::carry_out;
use crate::clock::Instant;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::AnyStore;
use crate::{Keylatch, clock, telemetry};

/// How many are kept. When there are more, everything is invalidated instead.
const LIMIT: usize = 10_000;
/// The pause between two tries in the background.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    /// For how long an invalidation is remembered: as long as a replica may lag behind, or a snapshot be older.
    remembered: Duration,
    /// Shared with the store, which is not read while it is set.
    any: Arc<AtomicBool>,
    targets: Mutex<Vec<Target>>,
    /// The last ones, sent or not: a server that was restarted from a snapshot, or a replica that was promoted, may never
    /// have seen them.
    recent: Mutex<VecDeque<(Instant, Target)>>,
    /// Readers wait for the one that repeats.
    repeating: tokio::sync::Mutex<()>,
    /// Whether a task repeats in the background, for processes that do not read.
    in_background: AtomicBool,
}

impl Kept {
    pub(crate) fn new(remembered: Duration) -> Self {
        Self {
            remembered,
            any: Arc::default(),
            targets: Mutex::default(),
            recent: Mutex::default(),
            repeating: tokio::sync::Mutex::default(),
            in_background: AtomicBool::new(false),
        }
    }

    /// Set while invalidations wait to be sent.
    pub(crate) fn pending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.any)
    }

    /// How many wait to be sent.
    pub(crate) fn count(&self) -> usize {
        self.targets.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

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

    /// Remembers what is about to be sent, for as long as another server may not know it.
    pub(crate) fn remember(&self, targets: &[Target], all: &Key) {
        let now = clock::now();
        let mut recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        while recent.front().is_some_and(|(at, _)| now - *at > self.remembered) {
            recent.pop_front();
        }
        recent.extend(targets.iter().map(|target| (now, target.clone())));
        if recent.len() > LIMIT {
            recent.clear();
            recent.push_back((now, Target::Key(all.clone())));
        }
    }

    fn recent(&self) -> Vec<Target> {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.iter().map(|(_, target)| target.clone()).collect()
    }

    /// Tells a new server the last invalidations. Repeats what is kept, in order; puts it back if that fails.
    pub(crate) async fn repeat(&self, store: &AnyStore) -> Result<()> {
        let _repeating = self.repeating.lock().await;
        let strangers = store.connection().map(Connection::strangers).unwrap_or_default();
        if !strangers.is_empty() {
            carry_out(store, &self.recent()).await?;
            for stranger in strangers {
                stranger.told();
            }
        }
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
    // Holds on to the `Keylatch` until the server has been told: other processes read the same entries.
    let task = Background(home.clone());
    runtime.spawn(async move {
        let mut pause = FIRST_PAUSE;
        while !task.0.kept().is_empty() {
            clock::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // The failure is the same as the one that was reported when these were kept.
            let _ = task.0.kept().repeat(task.0.store()).await;
        }
    });
}

/// The task that repeats in the background. However it ends, also with its runtime, another one may begin.
struct Background(Keylatch);

impl Drop for Background {
    fn drop(&mut self) {
        self.0.kept().in_background.store(false, Ordering::Release);
    }
}
