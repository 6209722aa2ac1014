//! Runs a body under a lock.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::Poll;

use futures_util::FutureExt;

use crate::lock::holding::Holding;
use crate::lock::lease::Lease;
use crate::lock::options::{LockBuilder, OnLost};
use crate::lock::{FromLockError, LockError, ReleaseError};
use crate::telemetry;

impl LockBuilder {
    /// Takes the lock, runs `body`, and releases the lock however the body ends.
    ///
    /// # Errors
    /// [`LockError::Busy`], [`LockError::Timeout`], [`LockError::NoQuorum`], [`LockError::NotCovered`] or [`LockError::Unknown`] if
    /// the lock was not had, or had ended before the body could begin: the body did not run.
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
pub fn with_lock<T, B, F>(lock: LockBuilder, refuse: fn(LockError) -> T, body: B) -> impl Future<Output = T>
where
    B: FnOnce(Lease) -> F,
    F: Future<Output = T>,
{
    // Not another `async` around it, whose future would hold all of it twice.
    run(lock, body).map(move |output| output.unwrap_or_else(refuse))
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
    let on_lost = options.on_lost;
    let holding = Holding::acquire(options).await?;
    let body = pin!(body(holding.lease().clone()));
    let output = match on_lost {
        OnLost::Cancel => until_lost(holding.lease(), body).await,
        OnLost::Continue => Some(body.await),
    };
    let Some(output) = output else {
        // Dropping it gives back what may be left of it.
        return Err(LockError::Lost { key: holding.lease().key().clone() });
    };
    match holding.release().await {
        // The body is done: that the lock ended between its last await and now does not undo its result.
        Ok(()) | Err(ReleaseError::NotHeld { .. }) => {}
        Err(ReleaseError::Unknown { key, source }) => telemetry::unlock_failed(&key, &source),
    }
    Ok(output)
}

/// The body's output, or `None` once the lock is lost. The clock is looked at before each poll of the body, before the first one
/// by whoever took the lock: after a pause of the whole process a timer may fire later than the body is woken.
async fn until_lost<F: Future>(lease: &Lease, mut body: Pin<&mut F>) -> Option<F::Output> {
    // A body that is done at once needs no timer, nor the room for one.
    let mut lost = None;
    poll_fn(|cx| {
        if lost.is_some() && lease.is_lost() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(output) = body.as_mut().poll(cx) {
            return Poll::Ready(Some(output));
        }
        lost.get_or_insert_with(|| Box::pin(lease.lost())).as_mut().poll(cx).map(|()| None)
    })
    .await
}
