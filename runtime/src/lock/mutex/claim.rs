//! What is held: from when the lock is had until it is known to be free.

use super::turn::Active;
use crate::Keylatch;
use crate::clock::{self, Moment};
use crate::error::Result;
use crate::lock::FencingToken;
use crate::lock::ReleaseError;
use crate::lock::lease::Lease;
use crate::lock::master::{AnyMaster, Freed, Owned};
use crate::lock::options::LockBuilder;
use crate::lock::renewal::{Extended, Kept, Registered};
use crate::lock::value::LockValue;
use crate::telemetry;

/// One acquisition. Dropping it gives the lock back: at once to whoever waits in this process, else in a task of its own.
#[derive(Debug)]
pub(in crate::lock) struct Claim {
    pub(super) home: Keylatch,
    pub(in crate::lock) lease: Lease,
    hold: Hold,
    since: Moment,
    registered: Option<Registered>,
}

/// What is given back.
#[derive(Debug)]
pub(super) enum Hold {
    Embedded(LockValue),
    Remote(Box<Active>),
    Nothing,
}

impl Claim {
    pub(super) fn new(
        options: LockBuilder,
        hold: Hold,
        token: Option<FencingToken>,
        until: Moment,
        now: Moment,
    ) -> Self {
        let LockBuilder { home, key, sharing, ttl, extend, max_hold, .. } = options;
        let lease = Lease::new(&home, key, sharing);
        lease.begin(until);
        if let Some(token) = token {
            lease.fence(token);
        }
        let value = match &hold {
            Hold::Embedded(value) => *value,
            Hold::Remote(active) => active.value(),
            Hold::Nothing => unreachable!("a claim begins with something to give back"),
        };
        let kept = Kept { lease: lease.clone(), value, ttl };
        let registered = Some(Registered::new(&home, Extended { again: extend, max_hold }, kept, now));
        Self { home, lease, hold, since: now, registered }
    }

    /// Lets the driver look at the lock, once, before its holder may block the thread; whether that took an await.
    pub(in crate::lock) async fn let_driver_look(&mut self) -> bool {
        let is_woken = self.registered.as_mut().is_some_and(Registered::woke_driver);
        if is_woken {
            tokio::task::yield_now().await;
        }
        is_woken
    }

    /// Frees a lock of the embedded store.
    ///
    /// # Errors
    /// Gives back what has to be asked for.
    pub(in crate::lock) fn free_at_once(mut self) -> Result<Result<(), ReleaseError>, Box<Self>> {
        if !matches!(self.hold, Hold::Embedded(_)) {
            return Err(Box::new(self));
        }
        let now = clock::moment();
        let (hold, _registered) = self.end(now);
        let Hold::Embedded(value) = hold else { return Ok(Ok(())) };
        Ok(self.freed(Ok(self.free_embedded(value, now))))
    }

    /// Frees the lock.
    ///
    /// # Errors
    /// [`ReleaseError::NotHeld`] if somebody else may have had it meanwhile; [`ReleaseError::Unknown`] if the server did not
    /// answer.
    ///
    /// # Cancel safety
    /// Dropped, it goes on in the background.
    pub(in crate::lock) async fn release(mut self) -> Result<(), ReleaseError> {
        let now = clock::moment();
        let freed = match self.end(now) {
            (Hold::Remote(active), registered) => active.release(registered).await,
            (Hold::Embedded(value), _registered) => Ok(self.free_embedded(value, now)),
            (Hold::Nothing, _) => Ok(Freed::Free),
        };
        self.freed(freed)
    }

    fn freed(&self, freed: Result<Freed>) -> Result<(), ReleaseError> {
        let key = || self.lease.key().clone();
        match freed {
            Ok(Freed::NotHeld) => Err(ReleaseError::NotHeld { key: key() }),
            Ok(Freed::Free | Freed::HandedOver) => Ok(()),
            Err(source) => Err(ReleaseError::Unknown { key: key(), source }),
        }
    }

    /// Nothing is extended any more from here on; what is left to be given back.
    fn end(&mut self, now: Moment) -> (Hold, Option<Registered>) {
        let mut hold = std::mem::replace(&mut self.hold, Hold::Nothing);
        self.lease.tell_of_loss(now);
        telemetry::lock_ended(self.lease.key(), || now - self.since);
        if let Hold::Remote(active) = &mut hold {
            active.held_until(self.lease.deadline());
        }
        self.lease.lose();
        let registered = self.registered.take();
        if let (Some(registered), Hold::Remote(_)) = (&registered, &hold) {
            registered.retire();
        }
        (hold, registered)
    }

    fn free_embedded(&self, value: LockValue, now: Moment) -> Freed {
        match self.home.lock_master() {
            AnyMaster::Embedded(master) => {
                let lock = Owned { key: self.lease.key(), value, sharing: self.lease.sharing() };
                master.free(lock, now)
            }
            AnyMaster::Redis(_) | AnyMaster::Quorum(_) | AnyMaster::Unusable(_) => Freed::NotHeld,
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if matches!(self.hold, Hold::Nothing) {
            return;
        }
        let now = clock::moment();
        telemetry::lock_dropped(self.lease.key());
        match self.end(now) {
            (Hold::Remote(mut active), registered) => active.keep_registered(registered),
            (Hold::Embedded(value), _registered) => {
                let _freed = self.free_embedded(value, now);
            }
            (Hold::Nothing, _) => {}
        }
    }
}
