//! The locks that this process may hold, so that a shutdown can give them back.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::Keylatch;
use crate::key::Key;
use crate::lock::lease::Lease;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct HeldLocks(Mutex<Held>);

#[derive(Debug, Default)]
struct Held {
    next: u64,
    leases: HashMap<u64, Lease>,
}

/// One lock that may be held; dropped when it is known to be free, or to end by itself.
#[derive(Debug)]
pub(in crate::lock) struct Registered {
    home: Keylatch,
    id: u64,
}

impl HeldLocks {
    fn held(&self) -> MutexGuard<'_, Held> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Ends the validity of every lock: bodies are stopped at their next await, guards told, and each gives its lock back.
    pub(crate) fn give_up_all(&self) {
        let leases: Vec<Lease> = self.held().leases.values().cloned().collect();
        for lease in leases {
            lease.lose();
        }
    }

    /// Those that are not free yet.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.held().leases.values().map(|lease| lease.key().clone()).collect()
    }
}

impl Registered {
    pub(in crate::lock) fn new(home: &Keylatch, lease: &Lease) -> Self {
        let mut held = home.held_locks().held();
        held.next += 1;
        let id = held.next;
        held.leases.insert(id, lease.clone());
        Self { home: home.clone(), id }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.home.held_locks().held().leases.remove(&self.id);
    }
}
