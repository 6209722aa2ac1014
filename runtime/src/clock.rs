//! The only place that reads time or sleeps, so that tests can pause it (`tokio::time::pause`) over the embedded store.

#![expect(clippy::disallowed_methods, reason = "the one place that may")]

use std::future::Future;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use tokio::time::Instant;

/// Monotonic time: deadlines, leases, lock validity.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Monotonic time that is some milliseconds behind at most, for a quarter of the price.
pub(crate) fn coarse() -> coarsetime::Instant {
    coarsetime::Instant::now()
}
/// By how much the wall clock may be off before it is looked at again: more than a busy machine takes between two reads of
/// a clock, less than anything that is written in envelopes is meant to tell apart.
const TOLERANCE_MS: i64 = 1_000;

/// Wall-clock milliseconds since the Unix epoch: what an envelope says about itself, never what decides correctness.
///
/// It is the monotonic clock with an offset, so that it follows a paused clock of tokio to the millisecond, and
/// decisions about what envelopes say can be tested exactly. The offset is corrected whenever the two real clocks have
/// moved apart, as after a suspension or when somebody sets the time; a paused clock takes no part in that.
pub(crate) fn wall_ms() -> u64 {
    static BASE: OnceLock<std::time::Instant> = OnceLock::new();
    static OFFSET: AtomicI64 = AtomicI64::new(0);

    let real = std::time::Instant::now();
    let base = *BASE.get_or_init(|| real);
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let wall = i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX / 2);
    let mut offset = OFFSET.load(Ordering::Relaxed);
    let right = wall - millis_since(base, real);
    if (right - offset).abs() > TOLERANCE_MS {
        offset = right;
        OFFSET.store(offset, Ordering::Relaxed);
    }
    u64::try_from(millis_since(base, now().into_std()) + offset).unwrap_or(0)
}

/// Rounded down, also where `moment` is earlier: a paused clock may have stopped before `base` was taken.
fn millis_since(base: std::time::Instant, moment: std::time::Instant) -> i64 {
    let nanos = |duration: Duration| i64::try_from(duration.as_nanos()).unwrap_or(i64::MAX / 2);
    let since = match moment.checked_duration_since(base) {
        Some(later) => nanos(later),
        None => -nanos(base.saturating_duration_since(moment)),
    };
    since.div_euclid(1_000_000)
}

/// A time that goes on while the machine is suspended, for leases: servers count on meanwhile. Nanoseconds since the first
/// one of this process, never 0.
///
/// It is the monotonic clock, which a test can pause, and as much more as the machine has been suspended for since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Moment(u64);

/// The time for leases.
pub(crate) fn moment() -> Moment {
    static BASE: OnceLock<Instant> = OnceLock::new();
    let now = Instant::now();
    let base = *BASE.get_or_init(|| now - EARLIER);
    let since = now.saturating_duration_since(base);
    Moment::from(since + suspended(since))
}

/// Tests with paused clocks share the process, and each may have stopped at another time.
const EARLIER: Duration = Duration::from_secs(1);

/// For how long the machine has been suspended since this was first asked, at the time `since` of the monotonic clock.
#[cfg(target_os = "linux")]
fn suspended(since: Duration) -> Duration {
    use rustix::time::{ClockId, clock_gettime};

    static SUSPENSIONS: Suspensions = Suspensions::new();
    let nanos = |clock| {
        let time = clock_gettime(clock);
        time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
    };
    SUSPENSIONS.until(since, || nanos(ClockId::Boottime), || nanos(ClockId::Monotonic))
}

/// Finds out by two clocks of the machine, of which one stands still in suspend, for how long it was suspended.
#[cfg(target_os = "linux")]
struct Suspensions {
    /// How far the clock that goes on in suspend is ahead of that of the runtime, when both were last looked at.
    ahead: AtomicI64,
    /// The same of the clock of the machine, when this was first asked.
    first: OnceLock<i64>,
    /// Suspended for how long, when it was last looked at.
    suspended: AtomicI64,
}

#[cfg(target_os = "linux")]
impl Suspensions {
    /// What may pass between the looks at two clocks.
    const TOLERANCE: i64 = 1_000_000;

    const fn new() -> Self {
        Self { ahead: AtomicI64::new(i64::MIN), first: OnceLock::new(), suspended: AtomicI64::new(0) }
    }

    /// How long it was, all together, at the time `since` of the runtime's clock. The clocks tell nanoseconds.
    fn until(&self, since: Duration, going_on: impl Fn() -> i64, standing: impl Fn() -> i64) -> Duration {
        let ahead = going_on() - i64::try_from(since.as_nanos()).unwrap_or(i64::MAX / 2);
        // Nothing has happened but time: neither was the machine suspended nor the runtime's clock paused.
        if ahead.saturating_sub(self.ahead.load(Ordering::Acquire)).saturating_abs() > Self::TOLERANCE {
            let ahead_of_machine = going_on() - standing();
            let suspended = ahead_of_machine - *self.first.get_or_init(|| ahead_of_machine);
            self.suspended.store(if suspended < Self::TOLERANCE { 0 } else { suspended }, Ordering::Relaxed);
            self.ahead.store(ahead, Ordering::Release);
        }
        Duration::from_nanos(self.suspended.load(Ordering::Relaxed).unsigned_abs())
    }
}

/// Elsewhere the monotonic clock goes on, or there is none that does.
#[cfg(not(target_os = "linux"))]
fn suspended(_since: Duration) -> Duration {
    Duration::ZERO
}

impl Moment {
    /// Before all others.
    pub(crate) const PAST: Self = Self(0);
    /// After all others.
    pub(crate) const NEVER: Self = Self(u64::MAX);

    pub(crate) fn nanos(self) -> u64 {
        self.0
    }

    pub(crate) fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    pub(crate) fn micros(self) -> u64 {
        self.0 / 1_000
    }
}

impl From<Duration> for Moment {
    fn from(since: Duration) -> Self {
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }
}

impl std::ops::Add<Duration> for Moment {
    type Output = Self;

    fn add(self, later: Duration) -> Self {
        Self(self.0.saturating_add(Self::from(later).0))
    }
}

/// Nothing where the other is later.
impl std::ops::Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// Completes `duration` from now.
pub(crate) fn sleep(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}

/// Completes at `deadline`.
pub(crate) fn sleep_until(deadline: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(deadline)
}

/// Runs `future` for at most `limit`; `None` when the time is up.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// The same for a limit that has begun already.
pub(crate) async fn within_since<F: Future>(began: Instant, limit: Duration, future: F) -> Option<F::Output> {
    match began.checked_add(limit) {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        // Further away than time can be told.
        None => Some(future.await),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn moments_follow_a_paused_clock_exactly() {
        let first = moment();
        for step in [1_u64, 999, 86_400_000] {
            let before = moment();
            tokio::time::advance(Duration::from_millis(step)).await;
            assert_eq!(moment() - before, Duration::from_millis(step));
        }
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(
            moment() - first,
            Duration::from_secs(86_401),
            "real time does not pass on a paused clock"
        );
    }

    #[test]
    fn moments_go_on_with_the_machine() {
        let before = (moment(), std::time::Instant::now());
        std::thread::sleep(Duration::from_millis(20));
        let after = (moment(), std::time::Instant::now());
        let (passed, really) = (after.0 - before.0, after.1 - before.1);
        assert!(passed.abs_diff(really) < Duration::from_millis(5), "{passed:?} of {really:?}");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_passes_in_suspend_is_counted_and_a_paused_clock_is_not() {
        let suspensions = Suspensions::new();
        let second = Duration::from_secs(1);
        let nanos = |time: Duration| i64::try_from(time.as_nanos()).unwrap();
        // The runtime's clock, and the machine's two, which began long before.
        let at = |since: Duration, awake: Duration, asleep: Duration| {
            let (up, awake) = (awake + 1_000 * second, awake + 900 * second);
            suspensions.until(since, || nanos(up + asleep), || nanos(awake))
        };
        let none = Duration::ZERO;
        assert_eq!(at(none, none, none), none);
        assert_eq!(at(5 * second, 5 * second, none), none);
        assert_eq!(at(5 * second, 5 * second, 60 * second), 60 * second, "just woken");
        assert_eq!(at(7 * second, 7 * second, 60 * second), 60 * second);
        assert_eq!(at(8 * second, 8 * second, 90 * second), 90 * second, "once more");
        // The clock of a runtime that a test has paused stands still, or leaps.
        assert_eq!(at(8 * second, 20 * second, 90 * second), 90 * second);
        assert_eq!(at(500 * second, 21 * second, 90 * second), 90 * second);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wall_clock_follows_a_paused_clock_exactly() {
        let before = wall_ms();
        let really = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis();
        assert!(before.abs_diff(u64::try_from(really).unwrap()) < 2_000);
        for step in [1_u64, 999, 86_400_000] {
            let before = wall_ms();
            tokio::time::advance(Duration::from_millis(step)).await;
            assert_eq!(wall_ms() - before, step);
        }
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(wall_ms() - before, 86_401_000, "real time does not pass on a paused clock");
    }
}
