//! Proposals of tokens: a hybrid clock, so that masters whose counters would differ all return the proposal.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use super::master::Token;

/// Tokens stay below this: numbers in scripts are exact up to it.
const HIGHEST: Token = 1 << 53;

/// Proposes the microseconds of the wall clock, or one more than the highest token seen. With sane clocks that is more than any
/// counter, and one round trip serves; a wrong clock costs a second one, never the order.
pub(crate) struct Proposals {
    wall_micros: Box<dyn Fn() -> u64 + Send + Sync>,
    highest: AtomicU64,
}

impl Proposals {
    pub(crate) fn new(wall_micros: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self { wall_micros: Box::new(wall_micros), highest: AtomicU64::new(0) }
    }

    pub(crate) fn next(&self) -> Token {
        let wall = (self.wall_micros)().min(HIGHEST - 1);
        let next = |highest: u64| wall.max(highest + 1);
        let before = self.highest.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |highest| Some(next(highest)));
        before.map_or(wall, next)
    }

    pub(crate) fn seen(&self, token: Token) {
        self.highest.fetch_max(token, Ordering::Relaxed);
    }
}

impl fmt::Debug for Proposals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Proposals").field("highest", &self.highest).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_grow_whatever_the_clock_does() {
        let proposals = Proposals::new(|| 100);
        assert_eq!([proposals.next(), proposals.next()], [100, 101]);
        proposals.seen(500);
        proposals.seen(200);
        assert_eq!(proposals.next(), 501);
    }
}
