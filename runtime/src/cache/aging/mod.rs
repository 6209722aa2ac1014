//! How entries age: they are renewed behind a call (`refresh_after`), outlive their end while they cannot be renewed
//! (`stale_if_error`), or live on as long as they are read (`sliding`).
//!
//! Functions without these options know nothing of it. For the others [`read_aging`] takes the place of
//! [`read_through`](super::flow::read_through), and asks of each entry that is valid how old it is. Who renews an entry is
//! settled in the process by [`Attempts`] and in the fleet by a [claim](claim) beside the slot; whether the result may be
//! stored is settled as ever, by the fill over what the loader saw.

mod attempts;
mod behind;
mod claim;
mod early;
mod ended;
mod read;
mod renewal;
mod sliding;

pub(crate) use attempts::Attempts;
pub(super) use behind::{Foreground, Spawned};
pub(super) use read::read_aging;
pub(crate) use sliding::Slides;

use std::time::Duration;

use crate::clock;
use crate::codec::envelope::{Header, Times};

/// The options of one function, as its attribute states them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Aging {
    pub(super) refresh_after: Option<Duration>,
    pub(super) stale_if_error: Option<Duration>,
    pub(super) sliding: bool,
}

impl Aging {
    /// An entry answers until it ends.
    pub(super) const NONE: Self = Self { refresh_after: None, stale_if_error: None, sliding: false };

    /// Whether an entry that is valid is an answer, whatever its age.
    pub(super) fn is_none(self) -> bool {
        !self.sliding && self.refresh_after.is_none() && self.stale_if_error.is_none()
    }

    /// Whether entries are renewed over what is there.
    pub(super) fn is_renewed(self) -> bool {
        self.refresh_after.is_some() || self.grace().is_some()
    }
}

/// What an entry is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Fresh,
    /// It answers, and is to be renewed.
    Due,
    /// It answers only if it cannot be renewed.
    Ended,
}

impl Aging {
    /// How long the store keeps an entry that lives for `life`.
    pub(super) fn kept(&self, life: Duration) -> Duration {
        life.saturating_add(self.grace().unwrap_or_default())
    }

    /// The header of an entry that is written now.
    pub(super) fn written(&self, header: Header) -> Header {
        let Some(after) = self.refresh_after else { return header };
        let due = header.written_at_ms.saturating_add(millis(after));
        Header { fresh_until_ms: due.min(header.expires_at_ms), ..header }
    }

    /// Whether an entry is past its end, and kept for the case that it cannot be renewed.
    pub(super) fn has_ended(&self, entry: &[u8]) -> bool {
        self.grace().is_some()
            && Times::of(entry).is_some_and(|times| clock::wall_ms() >= times.expires_at_ms)
    }

    /// What is left of an entry's life when the store keeps it for `kept` more.
    pub(super) fn left(&self, kept: Duration) -> Duration {
        kept.saturating_sub(self.grace().unwrap_or_default())
    }

    /// How old an entry is. One whose life is pushed forward has no end that its envelope would know.
    fn age(&self, entry: &[u8]) -> Age {
        let Some(times) = Times::of(entry) else { return Age::Fresh };
        if !self.is_renewed() {
            return Age::Fresh;
        }
        self.age_at(times, clock::wall_ms(), crate::random::fraction)
    }

    /// The same without chance: an entry is due from its time on, though a call may draw an earlier moment.
    pub(super) fn age_without_chance(&self, entry: &[u8]) -> Age {
        Times::of(entry).map_or(Age::Fresh, |times| self.age_at(times, clock::wall_ms(), || 0.0))
    }

    /// The decision itself; `draw` is a random number in `0.0..1.0`.
    fn age_at(&self, times: Times, now_ms: u64, draw: impl FnOnce() -> f64) -> Age {
        if self.grace().is_some() && now_ms >= times.expires_at_ms {
            Age::Ended
        } else if self.refresh_after.is_some() && early::due(now_ms, times, draw) {
            Age::Due
        } else {
            Age::Fresh
        }
    }

    /// For how long at most a process may answer from its memory, where a hit renews nothing: until three quarters of the way
    /// to the renewal.
    pub(super) fn in_memory(&self, header: &Header, now_ms: u64) -> Option<Duration> {
        self.refresh_after?;
        let way = Duration::from_millis(header.fresh_until_ms.saturating_sub(header.written_at_ms));
        let gone = Duration::from_millis(now_ms.saturating_sub(header.written_at_ms));
        Some(way.mul_f64(0.75).saturating_sub(gone))
    }

    /// How long an entry outlives its end.
    fn grace(&self) -> Option<Duration> {
        self.stale_if_error.filter(|_| !self.sliding)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn times(fresh_until_ms: u64, expires_at_ms: u64) -> Times {
        Times { written_at_ms: 1_000, fresh_until_ms, expires_at_ms, load: Duration::ZERO }
    }

    const fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn each_age_begins_to_the_millisecond() {
        let aging = Aging { refresh_after: Some(secs(5)), stale_if_error: Some(secs(60)), sliding: false };
        let age = |now| aging.age_at(times(6_000, 11_000), now, || 0.5);
        assert_eq!(
            [age(5_999), age(6_000), age(10_999), age(11_000)],
            [Age::Fresh, Age::Due, Age::Due, Age::Ended]
        );
    }

    #[test]
    fn an_option_that_is_not_given_changes_nothing() {
        let none = Aging::default();
        assert_eq!(none.age_at(times(6_000, 11_000), 50_000, || 0.5), Age::Fresh);
        assert_eq!(none.kept(secs(5)), secs(5));
        let refreshed = Aging { refresh_after: Some(secs(5)), ..none };
        assert_eq!(refreshed.age_at(times(6_000, 11_000), 50_000, || 0.5), Age::Due);
        let kept = Aging { stale_if_error: Some(secs(60)), ..none };
        assert_eq!(kept.age_at(times(6_000, 11_000), 10_000, || 0.5), Age::Fresh);
        assert_eq!(kept.kept(secs(5)), secs(65));
        assert_eq!(kept.left(secs(61)), secs(1));
        assert_eq!(kept.left(secs(59)), Duration::ZERO);
        // An entry whose life slides has no end of its own to outlive.
        let sliding = Aging { sliding: true, ..kept };
        assert_eq!(sliding.age_at(times(6_000, 11_000), 50_000, || 0.5), Age::Fresh);
        assert_eq!(sliding.kept(secs(5)), secs(5));
    }

    #[test]
    fn an_entry_is_due_before_it_ends() {
        let header = Header {
            nonce: [0; 8],
            codec: 1,
            fingerprint: 1,
            written_at_ms: 1_000,
            fresh_until_ms: 11_000,
            expires_at_ms: 11_000,
            load_us: 0,
            absent: false,
            writer: None,
        };
        let due = |seconds| {
            Aging { refresh_after: Some(secs(seconds)), ..Aging::default() }.written(header).fresh_until_ms
        };
        assert_eq!(due(4), 5_000);
        assert_eq!(due(60), 11_000, "a value with a shorter life of its own");
        assert_eq!(Aging::default().written(header), header);
    }
}
