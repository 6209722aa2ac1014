//! Asking for a lock, and waiting for it.

use std::time::Duration;

use super::claim::Claim;
use super::{embedded, remote, slots};
use crate::clock::{self, Moment};
use crate::lock::LockError;
use crate::lock::master::AnyMaster;
use crate::lock::options::LockBuilder;
use crate::telemetry;

/// What came of a look at a lock.
#[derive(Debug)]
pub(in crate::lock) enum AtOnce<T> {
    Had(T),
    /// It is not free, or nobody can tell without waiting.
    NotYet(LockBuilder),
}

/// Takes a lock of the embedded store if it is free.
pub(in crate::lock) fn at_once(options: LockBuilder) -> AtOnce<Claim> {
    let home = &options.home;
    if !matches!(home.lock_master(), AnyMaster::Embedded(_)) || home.open("lock").is_err() {
        return AtOnce::NotYet(options);
    }
    let now = clock::moment();
    let had = embedded::at_once(options, now);
    if let AtOnce::Had(claim) = &had {
        telemetry::lock_acquired(claim.lease.key(), || clock::moment() - now);
    }
    had
}

/// Takes the lock, or says why not. A dropped wait leaves nothing behind.
pub(in crate::lock) async fn acquire(options: LockBuilder) -> Result<Claim, LockError> {
    let unknown = |source| LockError::Unknown { key: options.key.clone(), source };
    options.home.open("lock").map_err(unknown)?;
    let waiting = Waiting { began: clock::moment(), wait: options.wait };
    let mut claim = match options.home.lock_master() {
        AnyMaster::Embedded(_) => embedded::acquire(options, &waiting).await?,
        // Counted by each master, three could have two permits: each has two of three masters.
        AnyMaster::Quorum(_) if options.sharing.permits().is_some() => {
            let home = options.home.clone();
            slots::acquire(options, home.lock_master(), &waiting).await?
        }
        AnyMaster::Redis(_) | AnyMaster::Quorum(_) => {
            let home = options.home.clone();
            remote::acquire(options, home.lock_master(), &waiting).await?
        }
        AnyMaster::Unusable(reason) => return Err(unknown(reason.clone())),
    };
    telemetry::lock_acquired(claim.lease.key(), || clock::moment() - waiting.began);
    // Whether it is still held is looked at when all that was asked for is there.
    let _is_awaited = claim.let_driver_look().await;
    Ok(claim)
}

/// The way of a lock on a server, over whatever master there is.
#[cfg(test)]
pub(super) async fn at_the_gate(options: LockBuilder) -> Result<Claim, LockError> {
    let waiting = Waiting { began: clock::moment(), wait: options.wait };
    let home = options.home.clone();
    remote::acquire(options, home.lock_master(), &waiting).await
}

/// Since when a caller waits, and for how long it will.
#[derive(Debug, Clone, Copy)]
pub(super) struct Waiting {
    pub(super) began: Moment,
    wait: Duration,
}

impl Waiting {
    /// The same without waiting.
    pub(super) fn once(&self) -> Self {
        Self { wait: Duration::ZERO, ..*self }
    }

    /// Whether it does not wait at all.
    pub(super) fn is_try(&self) -> bool {
        self.wait.is_zero()
    }

    /// How much longer it waits.
    ///
    /// # Errors
    /// [`LockError::Busy`] and [`LockError::Timeout`].
    pub(super) fn left(&self, options: &LockBuilder) -> Result<Duration, LockError> {
        if self.is_try() {
            return Err(LockError::Busy { key: options.key.clone() });
        }
        let waited = clock::moment() - self.began;
        match self.wait.checked_sub(waited) {
            Some(left) if !left.is_zero() => Ok(left),
            _ => Err(LockError::Timeout { key: options.key.clone(), waited }),
        }
    }
}

/// How soon whoever waits looks again, if nobody tells it sooner: when the lock ends, should its holder have died; and more
/// often the nearer it is to its turn, should a message be lost. What is lost then costs that long, and no more.
pub(super) fn look_again(left: Duration, place: u64) -> Duration {
    /// Half of what a claim lasts, so that who was handed the lock without hearing of it finds it still his.
    const FIRST: Duration = Duration::from_millis(250);
    const LATEST: Duration = Duration::from_secs(5);
    let place = u32::try_from(place.max(1)).unwrap_or(u32::MAX);
    // Not all at once after the end of a holder.
    let end = left + Duration::from_millis(1) + Duration::from_millis(8).mul_f64(crate::random::fraction());
    end.min(FIRST.saturating_mul(place).min(LATEST))
}
