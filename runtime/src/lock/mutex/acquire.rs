//! Asking for a lock, and waiting for it.

use std::time::Duration;

use backon::{BackoffBuilder, ExponentialBuilder};

use super::claim::Claim;
use crate::clock;
use crate::lock::LockError;
use crate::lock::master::Answer;
use crate::lock::options::LockBuilder;
use crate::telemetry;

/// The pauses of who waits.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// Takes the lock, or says why not. A dropped wait leaves nothing behind.
pub(super) async fn acquire(options: LockBuilder) -> Result<Claim, LockError> {
    let began = clock::now();
    let (key, wait) = (options.key.clone(), options.wait);
    let shut_down = |source| LockError::Unknown { key: key.clone(), source };
    options.home.open("lock").map_err(shut_down)?;
    let mut pauses = pauses();
    let mut claim = Claim::new(options);
    loop {
        let unknown = |source| LockError::Unknown { key: key.clone(), source };
        let ends = match claim.attempt().await.map_err(unknown)? {
            Answer::Granted { .. } if !claim.lease.is_lost() => {
                telemetry::lock_acquired(&key, clock::now() - began);
                return Ok(claim);
            }
            Answer::Granted { .. } => {
                // The answer came when the lease was nearly over: given back, and asked for anew under another value.
                let options = claim.options.clone();
                drop(std::mem::replace(&mut claim, Claim::new(options)));
                FIRST_PAUSE
            }
            Answer::Held(held) => held.left + Duration::from_millis(1),
        };
        if wait.is_zero() {
            return Err(LockError::Busy { key });
        }
        let waited = clock::now() - began;
        let Some(left) = wait.checked_sub(waited).filter(|left| !left.is_zero()) else {
            return Err(LockError::Timeout { key, waited });
        };
        clock::sleep(pauses.next().unwrap_or(LONGEST_PAUSE).min(left).min(ends)).await;
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
