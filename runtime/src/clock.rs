//! The only place that reads time or sleeps, so that tests can pause it (`tokio::time::pause`) over the embedded store.

#![expect(clippy::disallowed_methods, reason = "the one place that may")]

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) use tokio::time::Instant;

/// Monotonic time: deadlines, leases, lock validity.
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Monotonic time that is some milliseconds behind at most, for a quarter of the price.
pub(crate) fn coarse() -> coarsetime::Instant {
    coarsetime::Instant::now()
}

/// Wall-clock milliseconds since the Unix epoch: what an envelope says about itself, never what decides correctness.
pub(crate) fn wall_ms() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
}

/// Completes `duration` from now.
pub(crate) fn sleep(duration: Duration) -> tokio::time::Sleep {
    tokio::time::sleep(duration)
}

/// Completes at `deadline`.
pub(crate) fn sleep_until(deadline: Instant) -> tokio::time::Sleep {
    tokio::time::sleep_until(deadline)
}

/// Runs `future` for at most `limit`; `None` when the time is up.
pub(crate) async fn within<F: Future>(limit: Duration, future: F) -> Option<F::Output> {
    tokio::time::timeout(limit, future).await.ok()
}

/// The same for a limit that has begun already.
pub(crate) async fn within_since<F: Future>(began: Instant, limit: Duration, future: F) -> Option<F::Output> {
    match began.checked_add(limit) {
        Some(deadline) => tokio::time::timeout_at(deadline, future).await.ok(),
        // Further away than time can be told.
        None => Some(future.await),
    }
}
