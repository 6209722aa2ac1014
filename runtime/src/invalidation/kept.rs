//! Invalidations that the server could not be told. Nothing is read before it has been.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::target::carry_out;
use super::{Report, Target, keeper};
use crate::clock::Instant;
use crate::connection::Connection;
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::AnyStore;
use crate::{Keylatch, clock, telemetry};

/// How many are kept. When there are more, everything is invalidated instead.
const LIMIT: usize = 10_000;

/// See the module.
#[derive(Debug)]
pub(crate) struct Kept {
    /// For how long an invalidation is remembered: as long as a replica may lag behind, or a snapshot be older.
    remembered: Duration,
    /// Shared with the store, which is not read while it is set.
    any: Arc<AtomicBool>,
    waiting: Mutex<Waiting>,
    /// The last ones, sent or not: a server that was restarted from a snapshot, or a replica that was promoted, may never
    /// have seen them.
    recent: Mutex<VecDeque<(Instant, Target)>>,
    /// Readers wait for the one that repeats.
    repeating: tokio::sync::Mutex<()>,
    /// Whether the keeper runs.
    pub(super) is_watched: AtomicBool,
    /// Told when the first invalidation is kept.
    pub(super) owing: Arc<Notify>,
}

/// What waits to be sent.
#[derive(Debug, Default)]
struct Waiting {
    targets: Vec<Target>,
    /// How often there were too many, so that they were replaced.
    overflows: u64,
}

impl Kept {
    pub(crate) fn new(remembered: Duration) -> Self {
        Self {
            remembered,
            any: Arc::default(),
            waiting: Mutex::default(),
            recent: Mutex::default(),
            repeating: tokio::sync::Mutex::default(),
            is_watched: AtomicBool::new(false),
            owing: Arc::default(),
        }
    }

    /// Set while invalidations wait to be sent.
    pub(crate) fn pending(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.any)
    }

    /// How many wait to be sent.
    pub(crate) fn count(&self) -> usize {
        self.waiting().targets.len()
    }

    pub(crate) fn is_empty(&self) -> bool {
        !self.any.load(Ordering::Acquire)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep(&self, targets: Vec<Target>, all: &Key) -> usize {
        let mut waiting = self.waiting();
        waiting.targets.extend(targets);
        if waiting.targets.len() > LIMIT {
            waiting.targets = vec![Target::Key(all.clone())];
            waiting.overflows += 1;
        }
        self.any.store(true, Ordering::Release);
        waiting.targets.len()
    }

    /// So many from the front have been sent, when there had been so many overflows.
    fn sent(&self, count: usize, overflows: u64) {
        let mut waiting = self.waiting();
        // What was added meanwhile stays. An overflow has replaced them all, and stays, too: it stands also for what was
        // added after these were sent.
        if waiting.overflows == overflows {
            waiting.targets.drain(..count);
        }
        self.any.store(!waiting.targets.is_empty(), Ordering::Release);
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

    /// Whether a server lacks something that this process has invalidated.
    pub(super) fn owes(&self, store: &AnyStore) -> bool {
        !self.is_empty() || store.connection().is_some_and(Connection::has_strangers)
    }

    /// Whether a server that is met now may lack something.
    pub(super) fn remembers(&self) -> bool {
        let recent = self.recent.lock().unwrap_or_else(PoisonError::into_inner);
        recent.back().is_some_and(|(at, _)| clock::now() - *at <= self.remembered)
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
            carry_out(store, &self.recent(), &Report::to_nobody()).await?;
            for stranger in strangers {
                stranger.told();
            }
        }
        let (targets, overflows) = {
            let waiting = self.waiting();
            (waiting.targets.clone(), waiting.overflows)
        };
        if targets.is_empty() {
            return Ok(());
        }
        carry_out(store, &targets, &Report::to_nobody()).await?;
        telemetry::invalidations_repeated(targets.len());
        self.sent(targets.len(), overflows);
        Ok(())
    }
}

/// Keeps what failed, and sees to it that it is repeated even if nobody reads.
pub(crate) fn keep(home: &Keylatch, targets: Vec<Target>, error: &Error) {
    let kept = home.kept();
    let is_first = kept.is_empty();
    let pending = kept.keep(targets, home.space().all());
    telemetry::invalidation_kept(error, pending);
    if is_first {
        kept.owing.notify_one();
    }
    keeper::ensure(home);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn targets(count: usize) -> Vec<Target> {
        vec![Target::Key(Key::of("one")); count]
    }

    #[test]
    fn an_overflow_outlives_the_sending_of_the_one_before() {
        let (kept, all) = (Kept::new(Duration::ZERO), Key::of("all"));
        assert_eq!(kept.keep(targets(LIMIT + 1), &all), 1, "everything");
        let overflows = kept.waiting().overflows;
        // While that is on its way, there are too many again.
        assert_eq!(kept.keep(targets(LIMIT), &all), 1);
        kept.sent(1, overflows);
        assert_eq!(kept.waiting().targets, [Target::Key(all)]);
        assert!(!kept.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_ones_are_remembered_for_a_while_and_too_many_as_everything() {
        let (kept, all) = (Kept::new(Duration::from_secs(30)), Key::of("all"));
        kept.remember(&targets(2), &all);
        clock::sleep(Duration::from_secs(30)).await;
        kept.remember(&targets(1), &all);
        assert_eq!(kept.recent().len(), 3);
        assert!(kept.remembers());
        clock::sleep(Duration::from_millis(1)).await;
        kept.remember(&[], &all);
        assert_eq!(kept.recent().len(), 1);
        kept.remember(&targets(LIMIT), &all);
        assert_eq!(kept.recent(), [Target::Key(all)]);
        clock::sleep(Duration::from_millis(30_001)).await;
        assert!(!kept.remembers());
    }

    #[test]
    fn what_is_added_meanwhile_stays() {
        let (kept, all) = (Kept::new(Duration::ZERO), Key::of("all"));
        kept.keep(targets(2), &all);
        kept.keep(targets(3), &all);
        kept.sent(2, 0);
        assert_eq!(kept.count(), 3);
        kept.sent(3, 0);
        assert!(kept.is_empty());
    }
}
