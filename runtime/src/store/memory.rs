//! The embedded store: one process, no server, the same protocol.

use std::collections::HashSet;
use std::hash::{BuildHasher, RandomState};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};

use super::slot::{StampState, new_stamp};
use super::{
    Claim, ClaimRequest, Freshness, Guarded, Overlap, Reading, Slot, StampStates, Store, Values, Via, Wake,
    Wakeups,
};
use crate::clock::{self, Instant};
use crate::error::Result;
use crate::invalidation::Report;
use crate::key::{FullPattern, Key, KeyBytes, entry_of, stamp_of};
use crate::local::Local;
use crate::lock::Latches;

/// Slots and stamps live in a cache bounded in bytes; an evicted one is a miss, as everywhere.
#[derive(Debug)]
pub(crate) struct MemoryStore {
    entries: Cache<KeyBytes, Entry, ByBytes>,
    latches: Mutex<Latches>,
    /// Conditional changes of one key take the same stripe, so that comparing and setting are one step.
    stripes: Box<[Mutex<()>]>,
    hasher: RandomState,
    wakeups: Wakeups,
}

const STRIPES: usize = 64;
/// What an entry costs beside its key and its value: the cache's own records and the entry's.
const OVERHEAD: usize = 120;
const SHARDS: usize = 8;
/// Entries that an invalidation by pattern removes before it gives way: well under a millisecond.
const ENTRIES_OF_A_STEP: usize = 256;

#[derive(Debug, Clone)]
struct Entry {
    value: Bytes,
    deadline: Instant,
}

#[derive(Debug, Clone)]
struct ByBytes;

impl Weighter<KeyBytes, Entry> for ByBytes {
    fn weight(&self, key: &KeyBytes, entry: &Entry) -> u64 {
        (key.len() + entry.value.len() + OVERHEAD) as u64
    }
}

impl MemoryStore {
    /// A store that holds at most `limit` bytes of entries.
    pub(crate) fn new(limit: u64) -> Self {
        // An entry heavier than a shard is not kept, so a small store gets one shard.
        let shards = if limit < 16 << 20 { 1 } else { SHARDS };
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usize::try_from(limit / 512).unwrap_or(1 << 20).clamp(16, 1 << 20))
            .weight_capacity(limit)
            .build()
            .expect("capacities are given");
        Self {
            entries: Cache::with_options(
                options,
                ByBytes,
                DefaultHashBuilder::default(),
                DefaultLifecycle::default(),
            ),
            latches: Mutex::default(),
            stripes: (0..STRIPES).map(|_| Mutex::default()).collect(),
            hasher: RandomState::new(),
            wakeups: Wakeups::default(),
        }
    }

    pub(crate) fn latches(&self) -> MutexGuard<'_, Latches> {
        self.latches.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes those who wait for a key of another kind than slots.
    pub(crate) fn woken(&self, key: &Key) {
        self.wakeups.changed(key.as_bytes());
    }

    fn get(&self, key: &Key) -> Option<Bytes> {
        self.live(&key.0, clock::now()).map(|entry| entry.value)
    }

    fn live(&self, key: &KeyBytes, now: Instant) -> Option<Entry> {
        let entry = self.entries.get(key)?;
        if entry.deadline > now {
            return Some(entry);
        }
        self.entries.remove_if(key, |entry| entry.deadline <= now);
        None
    }

    fn set(&self, key: &Key, value: &[u8], life: Duration) {
        let entry = Entry { value: Bytes::copy_from_slice(value), deadline: clock::now() + life };
        self.entries.insert(key.0.clone(), entry);
        self.wakeups.changed(key.as_bytes());
    }

    fn delete(&self, key: &Key) {
        self.entries.remove(&key.0);
        // Also if it was not there: it may have been evicted, and still be at hand elsewhere in the process.
        self.wakeups.changed(key.as_bytes());
    }

    fn stripe(&self, key: &Key) -> MutexGuard<'_, ()> {
        let index = usize::try_from(self.hasher.hash_one(&key.0) % STRIPES as u64).unwrap_or(0);
        self.stripes[index].lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn capture_one(&self, stamp: &Key, life: Duration) -> StampState {
        let _stripe = self.stripe(stamp);
        let now = clock::now();
        let known = self.live(&stamp.0, now);
        if let Some((entry, state)) =
            known.and_then(|entry| Some((entry.clone(), StampState::of(Some(&entry.value))?)))
        {
            // A stamp's life is pushed forward, never back; a hold keeps its own.
            if state != StampState::Held && entry.deadline < now + life {
                self.entries.insert(stamp.0.clone(), Entry { deadline: now + life, ..entry });
            }
            return state;
        }
        let fresh = new_stamp();
        self.set(stamp, &fresh, life);
        StampState::of(Some(&fresh)).expect("a new stamp is a stamp")
    }

    fn capture_all(&self, stamps: &[&Key], life: Duration) -> StampStates {
        stamps.iter().map(|stamp| self.capture_one(stamp, life)).collect()
    }

    fn hold_one(&self, key: &Key, hold: &[u8], life: Duration) -> Overlap {
        let _stripe = self.stripe(key);
        let now = clock::now();
        let older = self.live(&key.0, now).filter(|entry| Slot::of(Some(&entry.value)) == Slot::Hold);
        let life = older.as_ref().map_or(life, |older| life.max(older.deadline - now));
        self.set(key, hold, life);
        older.map_or(Overlap::First, |_| Overlap::Overlapping)
    }

    fn guarded(
        &self,
        key: &Key,
        accept: impl FnOnce(Option<&[u8]>) -> bool,
        change: impl FnOnce(&Self),
    ) -> Guarded {
        let _stripe = self.stripe(key);
        if accept(self.get(key).as_deref()) {
            change(self);
            Guarded::Applied
        } else {
            Guarded::Refused
        }
    }
}

impl MemoryStore {
    /// A value, and what is left of its life.
    pub(super) fn find(&self, key: &Key) -> Option<(Bytes, Duration)> {
        let now = clock::now();
        self.live(&key.0, now).map(|entry| (entry.value, entry.deadline - now))
    }
}

impl Store for MemoryStore {
    async fn read(&self, keys: &[&Key], _freshness: Freshness) -> Result<Reading> {
        let now = clock::now();
        let mut values: Values = keys.iter().map(|_| None).collect();
        let mut left = None;
        // The slot comes first and is read last: an entry's stamp that is read with it is then never newer than the value.
        for (value, key) in values.iter_mut().zip(keys).rev() {
            let entry = self.live(&key.0, now);
            left = entry.as_ref().map(|entry| entry.deadline - now);
            *value = entry.map(|entry| entry.value);
        }
        Ok(Reading { values, via: Some(Via::EMBEDDED), left })
    }

    async fn read_watched(&self, keys: &[&Key], _wake: &Wake) -> Result<Values> {
        Ok(self.read(keys, Freshness::Current).await?.values)
    }

    fn tell(&self, local: Arc<Local>) {
        self.wakeups.tell(local);
    }

    fn wake(&self, key: &Key) -> Wake {
        self.wakeups.wake(key)
    }

    async fn claim(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        let states = self.capture_all(claim.stamps, claim.stamp_life);
        let free = |slot: Option<&[u8]>| match (slot, claim.over) {
            (None, None) => true,
            (Some(slot), Some(over)) => slot.starts_with(over),
            _ => false,
        };
        let take = |store: &Self| store.set(claim.slot, claim.lease.as_bytes(), claim.lease_life);
        Ok(match self.guarded(claim.slot, free, take) {
            Guarded::Applied => Claim::Won(states),
            Guarded::Refused => Claim::Lost,
        })
    }

    async fn capture(&self, stamps: &[&Key], life: Duration) -> Result<StampStates> {
        Ok(self.capture_all(stamps, life))
    }

    async fn replace(&self, slot: &Key, expected: &[u8], value: &[u8], life: Duration) -> Result<Guarded> {
        let same = |slot: Option<&[u8]>| slot.is_some_and(|slot| slot.starts_with(expected));
        Ok(self.guarded(slot, same, |store| store.set(slot, value, life)))
    }

    async fn put(&self, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
        let not_held = |bytes: Option<&[u8]>| Slot::of(bytes) != Slot::Hold;
        Ok(self.guarded(slot, not_held, |store| store.set(slot, value, life)))
    }

    async fn extend(&self, key: &Key, expected: &[u8], life: Duration) -> Result<Guarded> {
        let same = |value: Option<&[u8]>| value == Some(expected);
        Ok(self.guarded(key, same, |store| {
            let entry = Entry { value: Bytes::copy_from_slice(expected), deadline: clock::now() + life };
            store.entries.insert(key.0.clone(), entry);
        }))
    }

    async fn slide(&self, slot: &Key, expected: &[u8], life: Duration, step: Duration) -> Result<Guarded> {
        let _stripe = self.stripe(slot);
        let now = clock::now();
        let entry = self.live(&slot.0, now);
        let Some(entry) = entry.filter(|entry| {
            entry.value.starts_with(expected) && entry.deadline.saturating_duration_since(now) + step <= life
        }) else {
            return Ok(Guarded::Refused);
        };
        self.entries.insert(slot.0.clone(), Entry { deadline: now + life, ..entry });
        Ok(Guarded::Applied)
    }

    async fn release(&self, key: &Key, expected: &[u8]) -> Result<Guarded> {
        let same = |value: Option<&[u8]>| value == Some(expected);
        Ok(self.guarded(key, same, |store| store.delete(key)))
    }

    async fn invalidate(&self, keys: &[&Key]) -> Result<()> {
        for key in keys {
            let _held_stays =
                self.guarded(key, |bytes| Slot::of(bytes) != Slot::Hold, |store| store.delete(key));
        }
        Ok(())
    }

    async fn hold(&self, keys: &[&Key], hold: &[u8], life: Duration) -> Result<Vec<Overlap>> {
        Ok(keys.iter().map(|key| self.hold_one(key, hold, life)).collect())
    }

    async fn invalidate_matching(&self, pattern: &FullPattern, report: &Report<'_>) -> Result<u64> {
        let (mut looked_at, mut entries) = (0, HashSet::new());
        for (key, _) in self.entries.iter() {
            looked_at += 1;
            if pattern.matches(entry_of(&key)) {
                entries.insert(Key(entry_of(&key).into()));
            }
        }
        report.begin(looked_at);
        report.step(looked_at, 0);
        let all: Vec<Key> = entries.into_iter().collect();
        for entries in all.chunks(ENTRIES_OF_A_STEP) {
            for entry in entries {
                self.invalidate(&[entry, &stamp_of(entry)]).await?;
            }
            report.step(0, entries.len() as u64);
            // Others have their turn, and whoever waits for this can give up.
            tokio::task::yield_now().await;
        }
        Ok(all.len() as u64)
    }

    async fn time_to_live(&self, key: &Key) -> Result<Option<Duration>> {
        let now = clock::now();
        Ok(self.live(&key.0, now).map(|entry| entry.deadline - now))
    }
}
