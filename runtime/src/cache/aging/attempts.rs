//! Who renews which entry in this process, and when it may be tried again after a failure.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use super::super::explanation::RenewalState;
use crate::clock::{self, Instant};
use crate::key::{Key, KeyBytes};
use crate::random;

/// The pause after a first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How long a failure is remembered beyond its pause, for the next one to double it.
const MEMORY: Duration = Duration::from_secs(60);
/// How many pauses are remembered. Beyond that they are forgotten, which costs a source no more than an early try.
const LIMIT: usize = 16_384;
/// How many entries are renewed behind calls at a time. Beyond that, entries wait for a later call.
const BEHIND_LIMIT: usize = 256;

/// See the module.
#[derive(Debug)]
pub(crate) struct Attempts {
    states: Arc<Mutex<States>>,
    behind: Arc<Semaphore>,
}

type States = HashMap<KeyBytes, State>;

#[derive(Debug)]
enum State {
    UnderWay { ended: watch::Receiver<()> },
    Paused { until: Instant, failures: u32, why: Why },
}

/// Why nobody here tries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// It failed.
    Failed,
    /// There was nothing to do, or another process was at it: no reason not to try for whoever needs a new value.
    Resting,
}

/// What a caller that would renew an entry is to do.
#[derive(Debug)]
pub(super) enum Begin {
    Mine(Attempt),
    /// Somebody in this process does; the channel closes when that has ended.
    UnderWay(watch::Receiver<()>),
    /// It failed a moment ago.
    Paused,
}

/// The right to renew one entry in this process. Dropping it gives the right to the next one who asks.
#[derive(Debug)]
pub(super) struct Attempt {
    states: Arc<Mutex<States>>,
    key: KeyBytes,
    /// Closes when this is dropped, which wakes those who wait.
    _ended: watch::Sender<()>,
    failures: u32,
    then: Option<State>,
    /// Given back when this is dropped.
    behind: Option<OwnedSemaphorePermit>,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { states: Arc::default(), behind: Arc::new(Semaphore::new(BEHIND_LIMIT)) }
    }
}

impl Attempts {
    pub(super) fn begin(&self, key: &Key) -> Begin {
        self.begin_unless(key, |why| why == Why::Failed)
    }

    fn begin_unless(&self, key: &Key, paused: fn(Why) -> bool) -> Begin {
        let now = clock::now();
        let mut states = lock(&self.states);
        let failures = match states.get(&key.0) {
            Some(State::UnderWay { ended }) => return Begin::UnderWay(ended.clone()),
            Some(State::Paused { until, why, .. }) if now < *until && paused(*why) => return Begin::Paused,
            Some(State::Paused { failures, .. }) => *failures,
            None => 0,
        };
        make_room(&mut states, now);
        let (sender, ended) = watch::channel(());
        states.insert(key.0.clone(), State::UnderWay { ended });
        Begin::Mine(Attempt {
            states: Arc::clone(&self.states),
            key: key.0.clone(),
            _ended: sender,
            failures,
            then: None,
            behind: None,
        })
    }

    /// The same for whom it is no matter who does it, if it is done.
    pub(super) fn begin_behind(&self, key: &Key) -> Option<Attempt> {
        let permit = Arc::clone(&self.behind).try_acquire_owned().ok()?;
        match self.begin_unless(key, |_| true) {
            Begin::Mine(mut attempt) => {
                attempt.behind = Some(permit);
                Some(attempt)
            }
            Begin::UnderWay(_) | Begin::Paused => None,
        }
    }

    /// How it stands with an entry, if somebody here renews it or has failed a moment ago.
    pub(in crate::cache) fn state(&self, key: &Key) -> Option<RenewalState> {
        let now = clock::now();
        match lock(&self.states).get(&key.0)? {
            State::UnderWay { .. } => Some(RenewalState::UnderWay { in_this_process: true }),
            State::Paused { until, why: Why::Failed, .. } if now < *until => {
                Some(RenewalState::Paused { left: *until - now })
            }
            State::Paused { .. } => None,
        }
    }

    /// How many are under way.
    pub(crate) fn count(&self) -> usize {
        lock(&self.states).values().filter(|state| matches!(state, State::UnderWay { .. })).count()
    }
}

impl Attempt {
    /// It failed: nobody in this process tries again before a pause is over. `scale` is how long the entry that is there
    /// may still answer, of which a pause takes a tenth at most.
    pub(super) fn failed(mut self, scale: Duration) {
        let failures = self.failures.saturating_add(1);
        let until = clock::now() + pause(failures, scale, random::fraction());
        self.then = Some(State::Paused { until, failures, why: Why::Failed });
    }

    /// It is no use for now: nobody here renews it behind a call for `rest`.
    pub(super) fn rest(mut self, rest: Duration) {
        let until = clock::now() + rest;
        self.then = Some(State::Paused { until, failures: self.failures, why: Why::Resting });
    }
}

impl Drop for Attempt {
    fn drop(&mut self) {
        let mut states = lock(&self.states);
        match self.then.take() {
            Some(then) => states.insert(self.key.clone(), then),
            None => states.remove(&self.key),
        };
    }
}

/// A pause of 1 s, doubled with each failure in a row, up to 30 s or a tenth of `scale`; shortened by up to a half, so that
/// processes that failed together do not try again together.
fn pause(failures: u32, scale: Duration, draw: f64) -> Duration {
    let doubled =
        FIRST_PAUSE.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    doubled.min(LONGEST_PAUSE).min(scale / 10).mul_f64(1.0 - draw / 2.0)
}

/// Keeps the table bounded. What is under way is bounded by those who do it.
fn make_room(states: &mut States, now: Instant) {
    if states.len() < LIMIT {
        return;
    }
    states.retain(|_, state| match state {
        State::UnderWay { .. } => true,
        State::Paused { until, .. } => *until + MEMORY > now,
    });
    if states.len() >= LIMIT {
        states.retain(|_, state| matches!(state, State::UnderWay { .. }));
    }
}

fn lock(states: &Mutex<States>) -> MutexGuard<'_, States> {
    states.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn begin(attempts: &Attempts, key: &str) -> Attempt {
        match attempts.begin(&Key::of(key)) {
            Begin::Mine(attempt) => attempt,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn one_at_a_time_and_those_who_wait_are_woken() {
        let attempts = Attempts::default();
        let first = begin(&attempts, "a");
        let Begin::UnderWay(mut ended) = attempts.begin(&Key::of("a")) else { panic!("two at a time") };
        let _another_entry = begin(&attempts, "b");
        assert_eq!(attempts.count(), 2);
        drop(first);
        assert!(ended.changed().await.is_err(), "the channel closes");
        drop(begin(&attempts, "a"));
        assert_eq!(attempts.count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_failure_pauses_and_a_further_one_for_longer() {
        let attempts = Attempts::default();
        let hour = Duration::from_secs(3600);
        for longest in [1, 2, 4, 8, 16, 30, 30] {
            begin(&attempts, "a").failed(hour);
            assert!(matches!(attempts.begin(&Key::of("a")), Begin::Paused));
            tokio::time::advance(Duration::from_millis(longest * 500 - 1)).await;
            assert!(matches!(attempts.begin(&Key::of("a")), Begin::Paused), "at least the half of it");
            tokio::time::advance(Duration::from_millis(longest * 500 + 1)).await;
        }
        // A success forgets them.
        drop(begin(&attempts, "a"));
        begin(&attempts, "a").failed(hour);
        tokio::time::advance(Duration::from_secs(1)).await;
        drop(begin(&attempts, "a"));
    }

    #[tokio::test(start_paused = true)]
    async fn who_needs_a_new_value_does_not_rest() {
        let attempts = Attempts::default();
        attempts.begin_behind(&Key::of("a")).unwrap().rest(Duration::from_secs(1));
        assert!(attempts.begin_behind(&Key::of("a")).is_none());
        assert_eq!(attempts.state(&Key::of("a")), None, "nothing has failed");
        begin(&attempts, "a").rest(Duration::from_secs(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        attempts.begin_behind(&Key::of("a")).unwrap().failed(Duration::from_secs(60));
        assert!(attempts.begin_behind(&Key::of("a")).is_none());
        assert!(matches!(attempts.begin(&Key::of("a")), Begin::Paused));
    }

    #[test]
    fn a_pause_is_bounded_by_what_is_left_to_serve() {
        let seconds = Duration::from_secs;
        assert_eq!(pause(1, seconds(3600), 0.0), seconds(1));
        assert_eq!(pause(3, seconds(3600), 0.0), seconds(4));
        assert_eq!(pause(3, seconds(3600), 0.999_999), seconds(4).mul_f64(0.500_000_5));
        assert_eq!(pause(u32::MAX, seconds(3600), 0.0), seconds(30));
        assert_eq!(pause(9, seconds(20), 0.0), seconds(2));
    }

    #[tokio::test(start_paused = true)]
    async fn memory_is_bounded() {
        let attempts = Attempts::default();
        let under_way = begin(&attempts, "under way");
        for index in 0..LIMIT * 2 {
            begin(&attempts, &format!("key-{index}")).failed(Duration::from_secs(3600));
        }
        assert!(lock(&attempts.states).len() <= LIMIT);
        assert!(matches!(attempts.begin(&Key::of("under way")), Begin::UnderWay(_)));
        drop(under_way);
        let many: Vec<_> =
            (0..BEHIND_LIMIT).map(|index| attempts.begin_behind(&Key::of(&format!("b-{index}")))).collect();
        assert!(many.iter().all(Option::is_some));
        assert!(attempts.begin_behind(&Key::of("one more")).is_none());
        drop(many);
        assert!(attempts.begin_behind(&Key::of("one more")).is_some());
    }
}
