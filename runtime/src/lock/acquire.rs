//! Asking for a lock, and waiting for it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::LockError;
use super::claim::Claim;
use super::options::LockBuilder;
use crate::clock;
use crate::store::{Guarded, Store};
use crate::telemetry;

/// A push usually wakes a waiter at once; these are the pauses when it does not.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Takes the lock, or says why not. A dropped wait leaves nothing behind.
pub(super) async fn acquire(options: LockBuilder) -> Result<Claim, LockError> {
    let began = clock::now();
    let (key, wait) = (options.key.clone(), options.wait);
    let shut_down = |source| LockError::Unknown { key: key.clone(), source };
    options.home.open("lock").map_err(shut_down)?;
    let wake = options.home.store().wake(&key);
    let mut pauses = pauses();
    let mut claim = Claim::new(options);
    let mut watching = None;
    loop {
        // Interest begins before the request, so that a release right after it is not missed.
        let freed = wake.changed();
        let unknown = |source| LockError::Unknown { key: key.clone(), source };
        let answer = claim.attempt(watching).await.map_err(unknown)?;
        if answer == Guarded::Applied && !claim.lease.is_lost() {
            telemetry::lock_acquired(&key, clock::now() - began);
            return Ok(claim);
        }
        if answer == Guarded::Applied {
            // The answer came when the lease was nearly over: given back, and asked for anew under another token.
            let options = claim.options.clone();
            drop(std::mem::replace(&mut claim, Claim::new(options)));
        }
        if wait.is_zero() {
            return Err(LockError::Busy { key });
        }
        let waited = clock::now() - began;
        let Some(left) = wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
            return Err(LockError::Timeout { key, waited });
        };
        if watching.is_none() {
            // The first request did not watch; the next one does, at once.
            watching = Some(&wake);
            continue;
        }
        let pause = pauses.next().unwrap_or(LONGEST_PAUSE).min(left);
        tokio::select! {
            () = freed => {}
            () = clock::sleep(pause) => {}
        }
    }
}

/// Pauses between two tries.
pub(super) fn pauses() -> impl Iterator<Item = Duration> {
    ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_delay(LONGEST_PAUSE)
        .with_jitter()
        .without_max_times()
        .build()
}
