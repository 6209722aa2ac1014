//! Runs a body under a lock.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::task::Poll;

use super::acquire::acquire;
use super::claim::Claim;
use crate::lock::lease::Lease;
use crate::lock::options::{LockBuilder, OnLost};
use crate::lock::renewal::watch;
use crate::lock::{FromLockError, LockError};
use crate::telemetry;

impl LockBuilder {
    /// Takes the lock, runs `body`, and releases the lock however the body ends.
    ///
    /// # Errors
    /// [`LockError::Busy`], [`LockError::Timeout`] or [`LockError::Unknown`] if the lock was not had: the body did not run.
    /// [`LockError::Lost`] if it was lost meanwhile: the body was stopped at an await, before anybody else could have the
    /// lock, unless [`on_lost_continue`](Self::on_lost_continue).
    ///
    /// # Cancel safety
    /// A dropped call leaves nothing behind: the lock is given back in the background.
    pub async fn run<T>(self, body: impl AsyncFnOnce(Lease) -> T) -> Result<T, LockError> {
        run(self, |lease| body(lease)).await
    }
}

/// The body of a function under `#[with_lock]`.
pub async fn with_lock<T, B, F>(lock: LockBuilder, refuse: fn(LockError) -> T, body: B) -> T
where
    B: FnOnce(Lease) -> F,
    F: Future<Output = T>,
{
    run(lock, body).await.unwrap_or_else(refuse)
}

/// How a return type reports that the lock was not had. On its own, so that a type that cannot gives one error.
#[must_use]
pub fn refusal<T: FromLockError>() -> fn(LockError) -> T {
    T::from_lock_error
}

async fn run<T, B, F>(options: LockBuilder, body: B) -> Result<T, LockError>
where
    B: FnOnce(Lease) -> F,
    F: Future<Output = T>,
{
    let claim = acquire(options).await?;
    let output = match claim.options.on_lost {
        OnLost::Cancel => until_lost(&claim, body(claim.lease.clone())).await,
        OnLost::Continue => Some(regardless(&claim, body(claim.lease.clone())).await),
    };
    let key = claim.options.key.clone();
    let Some(output) = output else {
        // Dropping the claim gives back what may be left of it.
        return Err(LockError::Lost { key });
    };
    match claim.release().await {
        // The body is done: that the lock ended between its last await and now does not undo its result.
        Ok(()) | Err(LockError::Lost { .. }) => {}
        Err(error) => {
            if let LockError::Unknown { source, .. } = &error {
                telemetry::unlock_failed(&key, source);
            }
        }
    }
    Ok(output)
}

/// The body's output, or `None` once the lock is lost. The clock is looked at before each poll of the body: after a pause of
/// the whole process a timer may fire later than the body is woken.
async fn until_lost<F: Future>(claim: &Claim, body: F) -> Option<F::Output> {
    let mut watchdog = pin!(watch(claim));
    let mut body = pin!(body);
    poll_fn(|cx| {
        if watchdog.as_mut().poll(cx).is_ready() || claim.lease.is_lost() {
            return Poll::Ready(None);
        }
        body.as_mut().poll(cx).map(Some)
    })
    .await
}

/// The body's output, whatever becomes of the lock; the lease tells it.
async fn regardless<F: Future>(claim: &Claim, body: F) -> F::Output {
    let mut watchdog = pin!(watch(claim));
    let mut watched = true;
    let mut body = pin!(body);
    poll_fn(|cx| {
        if watched && watchdog.as_mut().poll(cx).is_ready() {
            watched = false;
        }
        body.as_mut().poll(cx)
    })
    .await
}
