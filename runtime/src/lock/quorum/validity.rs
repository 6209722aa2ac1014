//! For how long a majority may be relied on.

use std::time::Duration;

use crate::clock::Moment;

/// What clocks may differ by over a time: 1 % and 2 ms, as in the Redlock algorithm.
pub(crate) fn drift(over: Duration) -> Duration {
    over / 100 + Duration::from_millis(2)
}

/// Until when a lock may be relied on whose requests were sent from `sent` on. No server can have begun its life earlier.
pub(crate) fn deadline(sent: Moment, ttl: Duration) -> Moment {
    sent + ttl.saturating_sub(drift(ttl))
}

/// Whether a majority that was complete at `now` leaves half of the lock's life: less is hardly worth beginning with.
pub(crate) fn is_worth_having(now: Moment, deadline: Moment, ttl: Duration) -> bool {
    now + ttl / 2 < deadline
}

/// When a master set a key: some time between the request and its answer.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Between {
    pub(crate) sent: Moment,
    pub(crate) answered: Moment,
}

impl Between {
    /// Whether a key that was `set` for `ttl` can have had `left` of it at a time within `self`, by a clock that goes right.
    pub(crate) fn agrees_with(self, set: Self, ttl: Duration, left: Duration) -> bool {
        // Nothing where the second is later.
        let (longest, shortest) = (self.answered - set.sent, self.sent - set.answered);
        let drift = drift(ttl);
        // A life is told in whole milliseconds.
        let (least, most) = (ttl.saturating_sub(longest + drift), ttl.saturating_sub(shortest) + drift);
        (least..=most + Duration::from_millis(1)).contains(&left)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    const TTL: Duration = Duration::from_secs(10);

    fn at(start: Moment, sent: u64, answered: u64) -> Between {
        let after = |millis| start + Duration::from_millis(millis);
        Between { sent: after(sent), answered: after(answered) }
    }

    #[test]
    fn a_deadline_counts_from_the_request_and_allows_for_drift() {
        let start = clock::moment();
        assert_eq!(deadline(start, TTL), start + Duration::from_millis(9_898));
        assert!(is_worth_having(start + Duration::from_millis(4_897), deadline(start, TTL), TTL));
        assert!(!is_worth_having(start + Duration::from_millis(4_898), deadline(start, TTL), TTL));
        assert_eq!(deadline(start, Duration::from_millis(1)), start);
    }

    #[test]
    fn what_is_left_tells_of_a_clock_that_jumped() {
        let start = clock::moment();
        let set = at(start, 0, 100);
        let asked = at(start, 3_000, 3_200);
        let agrees = |left| asked.agrees_with(set, TTL, Duration::from_millis(left));
        // It was set 2,900 to 3,200 ms before.
        assert!(agrees(6_800) && agrees(7_100));
        // Within the drift of 102 ms.
        assert!(agrees(6_700) && agrees(7_200));
        assert!(!agrees(6_690) && !agrees(7_210));
        assert!(!agrees(0) && !agrees(37_000));
    }
}
