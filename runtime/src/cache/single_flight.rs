//! One load per key in a process. Who may share a load is decided by order alone, so that no invalidation is missed.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use bytes::Bytes;
use tokio::sync::watch;

use super::round::Rounds;
use crate::key::{Key, KeyBytes};
use crate::store::{Lease, StampStates};

/// The loads under way in this process.
#[derive(Debug, Default)]
pub(crate) struct Flights {
    under_way: Mutex<HashMap<KeyBytes, Arc<Flight>>>,
    near: Near,
    clock: AtomicU64,
}

/// A moment in the order of this process's events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(u64);

/// One load: its lease, when its claim was about to be sent, and how it ended.
#[derive(Debug)]
pub(crate) struct Flight {
    pub(crate) lease: Lease,
    /// The stamps as the claim found them.
    pub(crate) stamps: OnceLock<StampStates>,
    began: Moment,
    ending: watch::Sender<Ending>,
    pub(super) rounds: Rounds,
    /// Whether the slot was seen to hold something else since the claim: its result is of use to those who wait alone.
    pub(super) is_overtaken: AtomicBool,
}

/// How many loads have keys like one: none means that it is not loaded, which nearly every hit learns so without a lock.
#[derive(Debug)]
struct Near([AtomicU32; 64]);

/// How a load ended for those who share it.
#[derive(Debug, Clone)]
pub(crate) enum Ending {
    UnderWay,
    /// The envelope, whether or not the store still took it.
    Loaded(Bytes),
    /// The result is not for storing: everybody loads for themselves.
    NotForStoring,
    /// The leader failed, was dropped or lost its claim: somebody else is to lead.
    Abandoned,
}

/// What a caller that found nothing is to do.
pub(crate) enum Role {
    Lead(Arc<Flight>),
    Follow(Arc<Flight>),
}

impl Flights {
    /// The present moment, later than all before.
    pub(crate) fn moment(&self) -> Moment {
        Moment(self.clock.fetch_add(1, Ordering::Relaxed))
    }

    /// Follows the load of `key` if its claim was sent after `since`: whatever was invalidated before `since` cannot have
    /// reached it. Otherwise leads a new one.
    pub(crate) fn join(&self, key: &Key, since: Moment) -> Role {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = under_way.get(&key.0).filter(|flight| flight.began > since) {
            return Role::Follow(Arc::clone(flight));
        }
        let flight = Arc::new(Flight {
            lease: Lease::new(),
            stamps: OnceLock::new(),
            began: self.moment(),
            ending: watch::Sender::new(Ending::UnderWay),
            rounds: Rounds::default(),
            is_overtaken: AtomicBool::new(false),
        });
        if under_way.insert(key.0.clone(), Arc::clone(&flight)).is_none() {
            self.near.of(key).fetch_add(1, Ordering::Relaxed);
        }
        Role::Lead(flight)
    }

    /// How many loads are under way.
    pub(crate) fn count(&self) -> usize {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// The load of `key`, if one is under way whose lease may be in the slot.
    pub(super) fn of(&self, key: &Key) -> Option<Arc<Flight>> {
        if self.near.of(key).load(Ordering::Relaxed) == 0 {
            return None;
        }
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&key.0).filter(|flight| !flight.is_overtaken.load(Ordering::Relaxed)).cloned()
    }

    /// The load that holds `lease`, if this process runs it.
    pub(crate) fn holding(&self, key: &Key, lease: Lease) -> Option<Arc<Flight>> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&key.0).filter(|flight| flight.lease == lease).cloned()
    }

    /// Tells the followers how it ended and forgets the load.
    pub(crate) fn end(&self, key: &Key, flight: &Arc<Flight>, ending: Ending) {
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.get(&key.0).is_some_and(|current| Arc::ptr_eq(current, flight)) {
            under_way.remove(&key.0);
            self.near.of(key).fetch_sub(1, Ordering::Relaxed);
        }
        drop(under_way);
        flight.ending.send_replace(ending);
    }
}

impl Near {
    fn of(&self, key: &Key) -> &AtomicU32 {
        let Self(counts) = self;
        let hash = twox_hash::XxHash3_64::oneshot(key.as_bytes());
        &counts[usize::from(hash.to_le_bytes()[0]) % counts.len()]
    }
}

impl Default for Near {
    fn default() -> Self {
        Self(std::array::from_fn(|_| AtomicU32::new(0)))
    }
}

impl Flight {
    /// Completes when the load has ended.
    pub(crate) async fn ended(&self) -> Ending {
        let mut ending = self.ending.subscribe();
        let ended = ending.wait_for(|ending| !matches!(ending, Ending::UnderWay)).await;
        // The sender lives in `self`, so the channel cannot close while somebody waits.
        ended.map_or(Ending::Abandoned, |ending| ending.clone())
    }
}
