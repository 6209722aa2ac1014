//! A held lock as a value.

use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::acquire::acquire;
use crate::lock::LockError;
use crate::lock::lease::Lease;
use crate::lock::options::LockBuilder;
use crate::lock::renewal::watch;

impl LockBuilder {
    /// Takes the lock and returns a guard, which a background task extends until it is released or dropped.
    ///
    /// Unlike [`run`](Self::run), nobody stops the holder when the lock is lost: watch [`LockGuard::lease`].
    ///
    /// # Errors
    /// [`LockError::Busy`], [`LockError::Timeout`] or [`LockError::Unknown`].
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing behind: what may have been taken is given back in the background.
    pub async fn acquire(self) -> Result<LockGuard, LockError> {
        let claim = acquire(self).await?;
        let lease = claim.lease.clone();
        let (wanted, dropped) = oneshot::channel::<()>();
        // The task owns the lock, so that a release that was begun runs to its end whatever becomes of the guard.
        let holder = tokio::spawn(async move {
            tokio::select! {
                // Ends when the guard is gone: nothing is ever sent.
                _ = dropped => {}
                () = watch(&claim) => {}
            }
            claim.release().await
        });
        Ok(LockGuard { lease, wanted, holder })
    }
}

/// A held lock. Dropping it gives the lock back in the background, without blocking; [`release`](Self::release) says how
/// that went.
#[derive(Debug)]
#[must_use = "a lock that is dropped at once protects nothing"]
pub struct LockGuard {
    lease: Lease,
    wanted: oneshot::Sender<()>,
    holder: JoinHandle<Result<(), LockError>>,
}

impl LockGuard {
    /// What can be known of the lock.
    #[must_use]
    pub fn lease(&self) -> &Lease {
        &self.lease
    }

    /// Frees the lock.
    ///
    /// # Errors
    /// [`LockError::Lost`] if it was lost before; [`LockError::Unknown`] if the server did not answer, and the lock expires
    /// by itself.
    ///
    /// # Cancel safety
    /// A dropped release goes on in the background.
    pub async fn release(self) -> Result<(), LockError> {
        let Self { lease, wanted, holder } = self;
        drop(wanted);
        // The task neither panics nor is aborted while the runtime lives; without one the lock expires.
        holder.await.unwrap_or_else(|_| Err(LockError::Lost { key: lease.key().clone() }))
    }
}
