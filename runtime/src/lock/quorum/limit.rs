//! How long one master is waited for.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Less is noise.
const SHORTEST: Duration = Duration::from_millis(5);
/// More is a slow minority that everybody would wait for.
const LONGEST: Duration = Duration::from_millis(50);
/// For a master that has never answered: it must be connected to first.
const AT_FIRST: Duration = Duration::from_secs(1);

/// A master's smoothed round trip (an eighth of each new one, as TCP does by RFC 6298), in nanoseconds; 0 before the first.
#[derive(Debug, Default)]
pub(crate) struct RoundTrip(AtomicU64);

impl RoundTrip {
    pub(crate) fn observe(&self, took: Duration) {
        let took = u64::try_from(took.as_nanos()).unwrap_or(u64::MAX / 16).max(1);
        let before = self.0.load(Ordering::Relaxed);
        let after = if before == 0 { took } else { before - before / 8 + took / 8 };
        self.0.store(after.max(1), Ordering::Relaxed);
    }

    pub(crate) fn smoothed(&self) -> Option<Duration> {
        match self.0.load(Ordering::Relaxed) {
            0 => None,
            nanos => Some(Duration::from_nanos(nanos)),
        }
    }

    /// How long its vote is waited for, under a lock of that `ttl`: four round trips, at least 5 ms, at most 50 ms or a tenth of
    /// the `ttl`; twice that for each time that it was too short.
    pub(crate) fn limit(&self, ttl: Duration, was_short: u32) -> Duration {
        match self.smoothed() {
            Some(smoothed) => {
                let longest = LONGEST.min(ttl / 10);
                let limit = (4 * smoothed).clamp(SHORTEST.min(longest), longest);
                (limit * 2_u32.saturating_pow(was_short)).min(longest)
            }
            None => AT_FIRST.min(ttl / 3),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(round_trips: &[u64]) -> RoundTrip {
        let measured = RoundTrip::default();
        for &micros in round_trips {
            measured.observe(Duration::from_micros(micros));
        }
        measured
    }

    #[test]
    fn a_limit_follows_the_round_trip_within_bounds() {
        let ttl = Duration::from_secs(10);
        assert_eq!(after(&[]).limit(ttl, 0), Duration::from_secs(1));
        assert_eq!(after(&[]).limit(Duration::from_millis(300), 0), Duration::from_millis(100));
        assert_eq!(after(&[100]).limit(ttl, 0), Duration::from_millis(5));
        assert_eq!(after(&[4_000]).limit(ttl, 0), Duration::from_millis(16));
        assert_eq!(after(&[100_000]).limit(ttl, 0), Duration::from_millis(50));
        assert_eq!(after(&[100_000]).limit(Duration::from_millis(200), 0), Duration::from_millis(20));
        assert_eq!(after(&[100]).limit(Duration::from_millis(10), 0), Duration::from_millis(1));
        assert_eq!(after(&[100]).limit(ttl, 2), Duration::from_millis(20));
        assert_eq!(after(&[100]).limit(ttl, 9), Duration::from_millis(50));
    }

    #[test]
    fn one_slow_answer_moves_it_by_an_eighth() {
        let measured = after(&[8_000, 16_000]);
        assert_eq!(measured.smoothed(), Some(Duration::from_millis(9)));
    }
}
