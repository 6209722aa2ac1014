//! What goes over a link, over all its connections: counted with one atomic step as a command begins and one as it ends,
//! since both are on the way of every command.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock;

/// How long nothing may come over a busy connection before others are preferred. Well above what an answer takes under load:
/// at 1 ms, a few hundred callers changed connections all the time, and were sent in small batches (measured).
const HELD_UP_MICROS: u64 = 3_000;

/// The bits of `counts` that count the commands under way; those above count the answers, and wrap around.
const UNDER_WAY_BITS: u32 = 24;
const UNDER_WAY: u64 = (1 << UNDER_WAY_BITS) - 1;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Traffic {
    counts: AtomicU64,
    /// When the last command was begun that has been answered, or the first after a pause: in microseconds, on the pool's clock.
    progress: AtomicU64,
    /// When the last answer came, in ticks of the coarse clock.
    came: AtomicU64,
}

impl Traffic {
    /// A command is begun at that time; how many had been answered before.
    pub(super) fn begin(&self, micros: u64) -> u64 {
        let before = self.counts.fetch_add(1, Ordering::Relaxed);
        if before & UNDER_WAY == 0 {
            // Nothing was under way, so nothing was to come until now.
            self.progress.store(micros, Ordering::Relaxed);
        }
        before >> UNDER_WAY_BITS
    }

    /// A command that was begun at that time has been answered. (The exact time of the answer would cost another look at the
    /// clock.)
    pub(super) fn answer(&self, begun_micros: u64) {
        self.progress.store(begun_micros, Ordering::Relaxed);
        self.came.store(clock::coarse().as_ticks(), Ordering::Relaxed);
        self.counts.fetch_add((1 << UNDER_WAY_BITS) - 1, Ordering::Release);
    }

    /// A command is no longer waited for.
    pub(super) fn give_up(&self) {
        self.counts.fetch_sub(1, Ordering::Release);
    }

    /// Commands that were answered: whoever waits in vain can tell whether anything came at all.
    pub(super) fn answered(&self) -> u64 {
        self.counts.load(Ordering::Acquire) >> UNDER_WAY_BITS
    }

    /// For how long nothing has come, to some milliseconds.
    pub(super) fn silent_for(&self) -> Duration {
        let came = coarsetime::Instant::from_ticks(self.came.load(Ordering::Relaxed));
        clock::coarse().duration_since(came).into()
    }

    /// Commands that are neither answered nor given up.
    pub(super) fn under_way(&self) -> u64 {
        self.counts.load(Ordering::Acquire) & UNDER_WAY
    }

    /// Whether a command that was begun after that time has been answered.
    pub(super) fn has_answered_since(&self, begun_micros: u64, now_micros: u64) -> bool {
        self.progress.load(Ordering::Relaxed) > begun_micros && !self.is_held_up(now_micros)
    }

    /// Whether commands wait, and nothing has come for a while.
    pub(super) fn is_held_up(&self, now_micros: u64) -> bool {
        self.under_way() > 0
            && now_micros.saturating_sub(self.progress.load(Ordering::Relaxed)) > HELD_UP_MICROS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_under_way_until_they_are_answered_or_given_up() {
        let traffic = Traffic::default();
        assert_eq!(traffic.begin(10), 0);
        assert_eq!(traffic.begin(20), 0);
        assert_eq!(traffic.begin(30), 0);
        assert_eq!((traffic.under_way(), traffic.answered()), (3, 0));
        traffic.answer(10);
        traffic.give_up();
        assert_eq!((traffic.under_way(), traffic.answered()), (1, 1));
        assert_eq!(traffic.begin(40), 1);
        traffic.answer(30);
        traffic.answer(40);
        assert_eq!((traffic.under_way(), traffic.answered()), (0, 3));
    }

    #[test]
    fn a_link_is_held_up_while_commands_wait_and_nothing_comes() {
        let traffic = Traffic::default();
        assert!(!traffic.is_held_up(1_000_000), "nothing waits");
        traffic.begin(1_000_000);
        assert!(!traffic.is_held_up(1_000_000 + HELD_UP_MICROS));
        assert!(traffic.is_held_up(1_000_001 + HELD_UP_MICROS));
        traffic.begin(1_004_000);
        assert!(traffic.is_held_up(1_004_000), "another one that waits is no progress");
        traffic.answer(1_004_000);
        assert!(!traffic.is_held_up(1_004_500));
        assert!(traffic.has_answered_since(1_000_000, 1_004_500));
        assert!(!traffic.has_answered_since(1_004_000, 1_004_500), "that was before");
        assert!(!traffic.has_answered_since(1_000_000, 1_008_000), "nothing comes any more");
    }
}
