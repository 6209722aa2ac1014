//! What a process has at hand of what the store holds: decoded values (L1) and stamps, dropped as soon as the store tells of
//! a change.
//!
//! Before a key is read, it is *reserved*. The answer is kept only if the reservation still stands: a change that is told of
//! meanwhile, an invalidation of this process or a lost connection voids it. So whatever is kept was read after the store
//! began to watch the key, and nothing that was told of since has touched it.

mod lives;
mod marks;
mod reservations;
mod ticks;
mod values;

pub(crate) use lives::Lives;
pub(crate) use marks::{Known, Mark, Marks, Ways};
pub(crate) use ticks::Ticks;
pub(crate) use values::{Facts, Found, Values};

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::instance::Rules;

use reservations::{Reservation, Reservations};

/// See the module. One for each [`Keylatch`](crate::Keylatch), told of changes by its store.
#[derive(Debug)]
pub(crate) struct Local {
    id: u64,
    pub(crate) stamps: Marks,
    pub(crate) lives: Lives,
    values: Values,
    reservations: Reservations,
    /// A safety rule, broken on purpose by tests: without it late answers are kept whatever has changed meanwhile.
    reserves: bool,
    /// Another one: without it what is at hand stays though nobody can tell of its changes.
    forgets: bool,
}

/// The right to keep the answer to a read that is about to be sent.
#[derive(Debug)]
pub(crate) struct Reserved {
    local: Arc<Local>,
    reservation: Reservation,
}

impl Local {
    /// Values of at most so many bytes; none if that is 0.
    pub(crate) fn new(limit: u64, ticks: Ticks, rules: Rules) -> Arc<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Arc::new(Self {
            id: NEXT.fetch_add(1, Ordering::Relaxed),
            stamps: Marks::new(rules.reserve),
            lives: Lives::new(),
            values: Values::new(limit, ticks),
            reservations: Reservations::default(),
            reserves: rules.reserve,
            forgets: rules.forget,
        })
    }

    /// What no other of this process has, now or later.
    pub(crate) fn id(&self) -> u64 {
        self.id
    }

    pub(crate) fn values(&self) -> &Values {
        &self.values
    }

    /// To be called before the slot is read.
    pub(crate) fn reserve(self: &Arc<Self>, slot: &[u8]) -> Reserved {
        Reserved { reservation: self.reservations.reserve(slot), local: Arc::clone(self) }
    }

    /// The store tells that a key has changed.
    pub(crate) fn changed(&self, key: &[u8]) {
        self.stamps.changed(key);
        // In one step with voiding the reservations: a value that is kept before is removed, one that comes after is refused.
        self.reservations.void(key, || self.values.remove(key));
    }

    /// Every key that matches has changed.
    pub(crate) fn changed_where(&self, matches: impl Fn(&[u8]) -> bool) {
        self.stamps.changed_where(&matches);
        // What is being read may match: rather than looking at each, all of it is read again.
        self.reservations.void_all();
        self.values.remove_where(&matches);
    }

    /// Anything may have changed: a connection was lost, or the server was flushed.
    pub(crate) fn all_changed(&self) {
        if !self.forgets {
            return;
        }
        self.stamps.all_changed();
        self.reservations.void_all();
        // After all reservations are void, so that nothing is kept that was read before.
        self.values.clear();
    }
}

impl Reserved {
    /// Keeps a value, unless something has changed since it was reserved.
    pub(crate) fn keep(self, value: Arc<dyn Found>) {
        let Self { local, reservation } = &self;
        let keep = || local.values.insert(reservation.key(), value);
        if local.reserves {
            local.reservations.keep(reservation, keep);
        } else {
            keep();
        }
    }
}

impl Drop for Reserved {
    fn drop(&mut self) {
        self.local.reservations.give_back(&self.reservation);
    }
}
