//! Fencing tokens: what a resource needs to refuse a holder whose lock has been somebody else's since.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::clock;

/// A number that is greater for each holder of a lock than for any holder before it, whatever clocks and leases do.
///
/// Write it beside what the lock guards, and refuse a write whose token is below the one that is there. Register it
/// **before** you read: otherwise a stale holder's write may still be accepted after you have read, and be lost by yours.
/// (M. Kleppmann, *How to do distributed locking*, 2016.)
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u64);

impl FencingToken {
    /// The greatest one: servers count in floating-point numbers, which are exact to here.
    const MAX: u64 = 1 << 53;

    pub(crate) fn new(token: u64) -> Self {
        Self(token)
    }

    /// As a number, for the resource. Greater than 0 and at most 2^53, so it fits a signed column and a `double`.
    #[must_use]
    pub fn get(self) -> u64 {
        self.0
    }

    /// As a value of SQL's 64-bit integers, which are signed.
    #[must_use]
    pub fn sql(self) -> i64 {
        i64::try_from(self.0).unwrap_or(i64::MAX)
    }

    /// The one that is so many steps later.
    pub(crate) fn after(self, steps: u64) -> Self {
        Self(self.0 + steps)
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl From<FencingToken> for u64 {
    fn from(token: FencingToken) -> Self {
        token.0
    }
}

/// Proposes tokens: the wall clock in microseconds, or one more than the last that was seen, whichever is greater. Servers
/// never grant less than their counter says, so a wrong clock costs nothing but the help that a right one is to a server
/// whose counter was lost.
#[derive(Debug, Default)]
pub(crate) struct Proposals(AtomicU64);

impl Proposals {
    /// A proposal greater than every token that was [seen](Self::saw) and every earlier proposal.
    pub(crate) fn next(&self) -> u64 {
        let wall = clock::wall_ms().saturating_mul(1_000).min(FencingToken::MAX / 2);
        let next = |last: u64| wall.max(last + 1);
        let last = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        next(last.unwrap_or_default())
    }

    /// A token was granted.
    pub(crate) fn saw(&self, token: FencingToken) {
        self.0.fetch_max(token.0, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proposals_grow_with_the_clock_and_with_what_was_seen() {
        let proposals = Proposals::default();
        let first = proposals.next();
        assert!(first > 1_700_000_000_000_000 && first < FencingToken::MAX / 2);
        assert!(proposals.next() > first);
        let ahead = first + 1_000_000_000;
        proposals.saw(FencingToken::new(ahead));
        assert_eq!(proposals.next(), ahead + 1);
    }
}
