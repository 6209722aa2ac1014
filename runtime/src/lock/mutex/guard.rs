//! A held lock as a value.

use crate::lock::holding::Holding;
use crate::lock::lease::Lease;
use crate::lock::options::LockBuilder;
use crate::lock::{LockError, ReleaseError};

impl LockBuilder {
    /// Takes the lock and returns a guard. The lock is extended in the background until the guard is released or dropped,
    /// whether or not whoever has it is polled.
    ///
    /// Unlike [`run`](Self::run), nobody stops the holder when the lock is lost: watch [`LockGuard::lease`].
    ///
    /// # Errors
    /// [`LockError::Busy`], [`LockError::Timeout`], [`LockError::NoQuorum`], [`LockError::NotCovered`] or [`LockError::Unknown`].
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing behind: what may have been taken is given back in the background.
    pub async fn acquire(self) -> Result<LockGuard, LockError> {
        Holding::acquire(self).await.map(LockGuard)
    }
}

/// A held lock. Dropping it gives the lock back in the background, without blocking; [`release`](Self::release) says how
/// that went.
#[derive(Debug)]
#[must_use = "a lock that is dropped at once protects nothing"]
pub struct LockGuard(Holding);

impl LockGuard {
    /// What can be known of the lock.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        self.0.lease()
    }

    /// Frees the lock.
    ///
    /// # Errors
    /// [`ReleaseError::NotHeld`] if it was lost before; [`ReleaseError::Unknown`] if the server did not answer, and the lock
    /// expires by itself.
    ///
    /// # Cancel safety
    /// A dropped release goes on in the background.
    pub async fn release(self) -> Result<(), ReleaseError> {
        self.0.release().await
    }
}
