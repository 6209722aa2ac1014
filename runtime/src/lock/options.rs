//! What a lock is to be like.

use std::time::Duration;

use super::lease::Lease;
use super::master::Mint;
use super::several::in_order;
use super::{Passed, Sharing};
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
    /// More keys to be locked with it, behind it in the order in which everybody takes them.
    pub(super) others: Box<[Key]>,
    /// A lock of the caller's to be used instead of taking this one.
    pub(super) within: Option<Lease>,
    pub(super) sharing: Sharing,
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
        Self::of(home, key, Sharing::Alone)
    }

    /// The same, said aloud.
    #[doc(hidden)]
    pub fn exclusive(home: Keylatch, write: impl FnOnce(&mut KeyWriter)) -> Self {
        Self::new(home, write)
    }

    /// A lock that others may have, too, as long as they share it.
    #[doc(hidden)]
    pub fn shared(home: Keylatch, write: impl FnOnce(&mut KeyWriter)) -> Self {
        let key = home.space().lock(write);
        Self::of(home, key, Sharing::Shared)
    }

    /// One of so many permits, at least one.
    #[doc(hidden)]
    pub fn semaphore(home: Keylatch, write: impl FnOnce(&mut KeyWriter), permits: u32) -> Self {
        let key = home.space().permits(write);
        Self::of(home, key, Sharing::Permits(permits.max(1)))
    }

    /// Several keys, at least one, all of them or none.
    ///
    /// # Panics
    /// Without a key.
    #[doc(hidden)]
    pub fn several(home: Keylatch, keys: &[&dyn Fn(&mut KeyWriter)]) -> Self {
        let keys = keys.iter().map(|write| home.space().lock(|writer| write(writer))).collect();
        Self::of_several(home, keys)
    }

    /// The same by keys that are written already.
    pub(crate) fn all(home: Keylatch, keys: &[Key]) -> Self {
        let keys =
            keys.iter().map(|key| home.space().lock(|writer| writer.encoded(key.as_bytes()))).collect();
        Self::of_several(home, keys)
    }

    fn of_several(home: Keylatch, keys: Vec<Key>) -> Self {
        let mut keys = in_order(keys).into_iter();
        let first = keys.next().expect("a lock of several keys has at least one");
        Self { others: keys.collect(), ..Self::of(home, first, Sharing::Alone) }
    }

    /// All keys, in the order in which everybody takes them.
    pub(super) fn keys(&self) -> impl Iterator<Item = &Key> {
        std::iter::once(&self.key).chain(&self.others)
    }

    /// The same for one of several keys.
    pub(super) fn part(&self, key: &Key) -> Self {
        Self { key: key.clone(), others: Box::default(), ..self.clone() }
    }

    fn of(home: Keylatch, key: Key, sharing: Sharing) -> Self {
        Self {
            home,
            key,
            others: Box::default(),
            within: None,
            sharing,
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
    /// for any before, for resources that must refuse a holder that has lost the lock without knowing it yet. Who shares a lock
    /// carries the token of the last one who had it alone. Of a semaphore, each holder's is greater than those before, so a
    /// resource that takes growing tokens alone refuses the earlier ones of those inside; over several masters, where permits
    /// have no common count, a semaphore with tokens is refused with [`LockError::Unknown`](super::LockError::Unknown).
    pub fn fence(mut self) -> Self {
        self.fence = true;
        self
    }

    /// Uses a lock that the caller has, if one is passed down: nothing is taken, waited for or released then, and it is lost when
    /// the caller's is. It must cover every key that is asked for here, and must not be shared where this one is not;
    /// otherwise, and when it is no longer held, the call fails with [`LockError::NotCovered`](super::LockError::NotCovered).
    ///
    /// Locks are not reentrant: which thread or task asks says nothing in asynchronous code. A function that takes a lock and
    /// calls another that needs the same one says so, by passing its lease:
    ///
    /// ```
    /// use keylatch::{Keylatch, Lease, LockError};
    ///
    /// async fn deposit(keylatch: &Keylatch, account: u64, outer: Option<&Lease>) -> Result<(), LockError> {
    ///     let lock = keylatch.lock(keylatch::Key::of("account").part(&account)).within(&outer);
    ///     lock.run(async |_lease| { /* .. */ }).await
    /// }
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), LockError> {
    /// # let keylatch = Keylatch::in_memory();
    /// deposit(&keylatch, 1, None).await?;
    /// let accounts = [1_u64, 2].map(|id| keylatch::Key::of("account").part(&id));
    /// keylatch.lock_all(accounts).run(async |lease| deposit(&keylatch, 2, Some(&lease)).await).await?
    /// # }
    /// ```
    pub fn within(mut self, outer: &(impl Passed + ?Sized)) -> Self {
        self.within = outer.passed().cloned();
        self
    }

    /// How many fencing tokens are taken at once.
    pub(super) fn mint(&self, count: u64) -> Option<Mint> {
        // Whoever shares a lock carries the last one.
        let count = if self.sharing == Sharing::Shared { 1 } else { count };
        let mint = || Mint { proposal: self.home.proposals().next(), count };
        self.fence.then(mint)
    }
}

/// How long after it was asked for a lock may be relied on: clocks differ in speed, and the answer took its time (1 % and
/// 2 ms, as in the Redlock algorithm).
pub(super) fn validity(ttl: Duration) -> Duration {
    ttl.saturating_sub(ttl / 100 + Duration::from_millis(2))
}
