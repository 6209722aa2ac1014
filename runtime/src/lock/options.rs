//! What a lock is to be like.

use std::time::Duration;

use super::master::{Counter, Mint};
use crate::Keylatch;
use crate::key::{Key, KeyWriter};

/// A lock that has not been asked for yet. Made by [`Keylatch::lock`].
///
/// ```
/// use std::time::Duration;
/// use keylatch::{Key, Keylatch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let keylatch = Keylatch::in_memory();
/// let stock = || keylatch.lock(Key::of("stock").part("apple")).ttl(Duration::from_secs(30));
///
/// // As a closure: released however it ends.
/// let left = stock().run(async |_lease| 41).await?;
/// assert_eq!(left, 41);
///
/// // As a guard.
/// let guard = stock().acquire().await?;
/// assert!(stock().wait(Duration::ZERO).acquire().await.is_err());
/// guard.release().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a lock does nothing until it is acquired or run"]
pub struct LockBuilder {
    pub(super) home: Keylatch,
    pub(super) key: Key,
    pub(super) ttl: Duration,
    pub(super) wait: Duration,
    pub(super) max_hold: Option<Duration>,
    pub(super) extend: bool,
    pub(super) on_lost: OnLost,
    pub(super) fence: bool,
}

/// What happens to a body whose lock is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum OnLost {
    Cancel,
    Continue,
}

impl LockBuilder {
    /// A lock by the template of an attribute.
    #[doc(hidden)]
    pub fn new(home: Keylatch, write: impl FnOnce(&mut KeyWriter)) -> Self {
        let key = home.space().lock(write);
        Self {
            home,
            key,
            ttl: Duration::from_secs(30),
            wait: Duration::from_secs(10),
            max_hold: None,
            extend: true,
            on_lost: OnLost::Cancel,
            fence: false,
        }
    }

    /// How long the lock outlives a holder that died, and how long an extension lasts. Counted from when it is asked for.
    /// Default 30 s; at least 10 ms.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.max(Duration::from_millis(10));
        self
    }

    /// How long to wait for the lock. Zero: try once. Default 10 s.
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = wait;
        self
    }

    /// The longest time the lock is held, counted from when it is had: it is not extended beyond, and so lost. Default: no
    /// limit.
    pub fn max_hold(mut self, limit: Duration) -> Self {
        self.max_hold = Some(limit);
        self
    }

    /// The lock is not extended: it is lost `ttl` after it was asked for.
    pub fn extend_off(mut self) -> Self {
        self.extend = false;
        self
    }

    /// A body whose lock is lost goes on. It can see the loss by [`Lease::check`](super::Lease::check) and
    /// [`Lease::lost`](super::Lease::lost).
    pub fn on_lost_continue(mut self) -> Self {
        self.on_lost = OnLost::Continue;
        self
    }

    /// With a fencing token, which [`Lease::token`](super::Lease::token) tells: a number that is greater for each holder than
    /// for any before, for resources that must refuse a holder that has lost the lock without knowing it yet.
    pub fn fence(mut self) -> Self {
        self.fence = true;
        self
    }

    /// How many fencing tokens are taken at once.
    pub(super) fn mint(&self, count: u64) -> Option<Mint> {
        let mint = || Mint { proposal: self.home.proposals().next(), count, counter: Counter::Namespace };
        self.fence.then(mint)
    }
}

/// How long after it was asked for a lock may be relied on: clocks differ in speed, and the answer took its time (1 % and
/// 2 ms, as in the Redlock algorithm).
pub(super) fn validity(ttl: Duration) -> Duration {
    ttl.saturating_sub(ttl / 100 + Duration::from_millis(2))
}
