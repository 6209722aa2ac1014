//! A count that many threads add to at the same time: each has a place of its own, for a cache line that all of them write
//! would be what hits in memory wait for.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::threads;

/// Threads beyond so many share places.
const PLACES: usize = 8;

#[derive(Debug)]
pub(super) struct Count([Place; PLACES]);

/// Alone in its cache line, and in the one that processors fetch with it.
#[derive(Debug)]
#[repr(align(128))]
struct Place(AtomicU64);

impl Count {
    pub(super) const fn new() -> Self {
        Self([const { Place(AtomicU64::new(0)) }; PLACES])
    }

    /// Adds one.
    #[inline]
    pub(super) fn add(&self) {
        self.0[threads::place() % PLACES].0.fetch_add(1, Ordering::Relaxed);
    }

    /// What all have added.
    pub(super) fn sum(&self) -> u64 {
        self.0.iter().map(|place| place.0.load(Ordering::Relaxed)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_between_threads() {
        static COUNT: Count = Count::new();
        std::thread::scope(|scope| {
            for _ in 0..2 * PLACES {
                scope.spawn(|| (0..1_000).for_each(|_| COUNT.add()));
            }
        });
        assert_eq!(COUNT.sum(), 2_000 * PLACES as u64);
    }
}
