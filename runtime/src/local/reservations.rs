//! Which reads are under way whose answers may be kept.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

const SHARDS: usize = 16;

/// See the module. A short life each: from before a read until its answer.
#[derive(Debug)]
pub(super) struct Reservations {
    shards: Box<[Mutex<Shard>]>,
    hasher: std::hash::RandomState,
    next: AtomicU64,
}

type Shard = HashMap<Box<[u8]>, Standing>;

/// Concurrent reads of one key share a reservation.
#[derive(Debug)]
struct Standing {
    id: u64,
    reads: usize,
}

/// One read's part in a reservation.
#[derive(Debug)]
pub(super) struct Reservation {
    key: Box<[u8]>,
    id: u64,
}

impl Default for Reservations {
    fn default() -> Self {
        Self {
            shards: (0..SHARDS).map(|_| Mutex::default()).collect(),
            hasher: std::hash::RandomState::new(),
            next: AtomicU64::new(0),
        }
    }
}

impl Reservations {
    pub(super) fn reserve(&self, key: &[u8]) -> Reservation {
        let mut shard = self.shard(key);
        if let Some(standing) = shard.get_mut(key) {
            standing.reads += 1;
            return Reservation { key: key.into(), id: standing.id };
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        shard.insert(key.into(), Standing { id, reads: 1 });
        Reservation { key: key.into(), id }
    }

    /// Does something if the reservation still stands, in one step with looking.
    pub(super) fn keep(&self, reservation: &Reservation, keep: impl FnOnce()) {
        let shard = self.shard(&reservation.key);
        if shard.get(&reservation.key).is_some_and(|standing| standing.id == reservation.id) {
            keep();
        }
    }

    /// The read has ended, however it did.
    pub(super) fn give_back(&self, reservation: &Reservation) {
        let mut shard = self.shard(&reservation.key);
        let Some(standing) = shard.get_mut(&reservation.key) else { return };
        if standing.id == reservation.id {
            standing.reads -= 1;
            if standing.reads == 0 {
                shard.remove(&reservation.key);
            }
        }
    }

    /// Voids the reservations of a key, and does something else in one step with it.
    pub(super) fn void(&self, key: &[u8], remove: impl FnOnce()) {
        let mut shard = self.shard(key);
        shard.remove(key);
        remove();
    }

    pub(super) fn void_all(&self) {
        for shard in &self.shards {
            shard.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    fn shard(&self, key: &[u8]) -> MutexGuard<'_, Shard> {
        let index = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or(0);
        self.shards[index].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reservation {
    pub(super) fn key(&self) -> &[u8] {
        &self.key
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stands(reservations: &Reservations, reservation: &Reservation) -> bool {
        let mut stands = false;
        reservations.keep(reservation, || stands = true);
        stands
    }

    #[test]
    fn a_change_voids_what_was_reserved_before_it_and_nothing_else() {
        let reservations = Reservations::default();
        let before = reservations.reserve(b"one");
        let elsewhere = reservations.reserve(b"other");
        reservations.void(b"one", || {});
        let after = reservations.reserve(b"one");
        assert!(!stands(&reservations, &before));
        assert!(stands(&reservations, &after));
        assert!(stands(&reservations, &elsewhere));
        // The end of a read whose reservation is void does not end that of a later one.
        reservations.give_back(&before);
        assert!(stands(&reservations, &after));
        reservations.void_all();
        assert!(!stands(&reservations, &after) && !stands(&reservations, &elsewhere));
    }

    #[test]
    fn concurrent_reads_share_a_reservation_and_leave_nothing() {
        let reservations = Reservations::default();
        let (one, other) = (reservations.reserve(b"key"), reservations.reserve(b"key"));
        reservations.give_back(&one);
        assert!(stands(&reservations, &other));
        reservations.give_back(&other);
        assert!(reservations.shards.iter().all(|shard| shard.lock().expect("no test panics").is_empty()));
    }
}
