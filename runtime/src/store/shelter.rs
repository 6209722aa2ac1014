//! Redis, and while it is down a store in this process's memory, so that an outage of the cache does not become one of what
//! it protects.
//!
//! The refuge speaks the same protocol, so loads are shared and invalidations void them there, too. It is empty when an
//! outage begins and thrown away after it: what other processes invalidate meanwhile does not reach it. A fill needs the
//! lease that its loader saw, and leases never meet twice, so what began on one side is never stored on the other.
//! Locks are not sheltered: they do not go through stores.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::{
    Claim, ClaimRequest, Freshness, Guarded, Held, ManyClaimed, ManyClaims, MemoryStore, Overlap, Reading,
    RedisStore, Replacement, StampStates, Store, Values, Wake, many, redis,
};
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::invalidation::Report;
use crate::key::{FullPattern, Key};
use crate::local::Local;
use crate::telemetry;

/// See the module.
#[derive(Debug)]
pub(crate) struct ShelteredStore {
    redis: RedisStore,
    /// Bytes of the refuge; 0 for none.
    limit: u64,
    in_use: AtomicBool,
    refuge: Mutex<Option<Refuge>>,
    /// Whether invalidations wait to be sent: until then nothing may be read from Redis.
    pending: Arc<AtomicBool>,
}

#[derive(Debug)]
struct Refuge {
    /// Which outage it belongs to.
    outage: u64,
    store: Arc<MemoryStore>,
}

impl ShelteredStore {
    pub(crate) fn new(redis: RedisStore, limit: u64, pending: Arc<AtomicBool>) -> Self {
        Self { redis, limit, in_use: AtomicBool::new(false), refuge: Mutex::default(), pending }
    }

    /// The servers themselves, for what is not sheltered.
    pub(crate) fn redis(&self) -> &RedisStore {
        &self.redis
    }

    pub(crate) fn connection(&self) -> &Connection {
        self.redis.connection()
    }

    /// Whether the server that has the key is known to be down, so that the refuge answers for it.
    pub(crate) fn is_sheltered(&self, key: &Key) -> bool {
        self.limit > 0 && self.connection().is_down(key.as_bytes())
    }

    /// The refuge, if one of the keys' servers is down.
    fn shelter(&self, keys: &[&Key]) -> Option<Arc<MemoryStore>> {
        if self.limit == 0 || !keys.iter().any(|key| self.connection().is_down(key.as_bytes())) {
            if self.in_use.load(Ordering::Relaxed) {
                self.leave();
            }
            return None;
        }
        let outage = self.connection().outages();
        let mut refuge = self.refuge.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(refuge) = refuge.as_ref().filter(|refuge| refuge.outage == outage) {
            return Some(Arc::clone(&refuge.store));
        }
        telemetry::sheltered();
        // Stamps of the servers mean nothing there.
        self.connection().wakeups().all_changed();
        let store = Arc::new(MemoryStore::new(self.limit));
        *refuge = Some(Refuge { outage, store: Arc::clone(&store) });
        self.in_use.store(true, Ordering::Relaxed);
        Some(store)
    }

    /// Throws the refuge away once no server is down any more.
    fn leave(&self) {
        if !self.connection().is_any_down() {
            self.refuge.lock().unwrap_or_else(PoisonError::into_inner).take();
            self.in_use.store(false, Ordering::Relaxed);
        }
    }

    /// From now on, readers may wait for that long.
    pub(super) fn bear(&self, limit: Duration) {
        self.redis.bear(limit);
    }

    /// Reads one slot from Redis on the short way, unless something stands in it.
    pub(super) fn glance(&self, slot: &Key, freshness: Freshness) -> Option<redis::Glance> {
        let undisturbed = !self.pending.load(Ordering::Acquire) && self.shelter(&[slot]).is_none();
        undisturbed.then(|| self.redis.glance(slot, freshness)).flatten()
    }

    /// The refuge, if there is one, whatever the servers do now.
    fn refuge(&self) -> Option<Arc<MemoryStore>> {
        if !self.in_use.load(Ordering::Relaxed) {
            return None;
        }
        let refuge = self.refuge.lock().unwrap_or_else(PoisonError::into_inner);
        refuge.as_ref().map(|refuge| Arc::clone(&refuge.store))
    }

    /// Redis, for reading what may have been invalidated.
    fn readable(&self, operation: &'static str) -> Result<&RedisStore> {
        if self.pending.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, operation)
                .with("fault", "invalidations wait to be sent")
                .remedy("it is read again as soon as they have been"));
        }
        Ok(&self.redis)
    }

    fn keys<'a>(slot: &'a Key, stamps: &[&'a Key]) -> smallvec::SmallVec<[&'a Key; 8]> {
        std::iter::once(slot).chain(stamps.iter().copied()).collect()
    }
}

impl Store for ShelteredStore {
    async fn read(&self, keys: &[&Key], freshness: Freshness) -> Result<Reading> {
        match self.shelter(keys) {
            // The refuge tells nobody of changes: there is one instead of another, at any time.
            Some(refuge) => Ok(Reading { via: None, ..refuge.read(keys, freshness).await? }),
            None => self.readable("read")?.read(keys, freshness).await,
        }
    }

    async fn read_watched(&self, keys: &[&Key], wake: &Wake) -> Result<Values> {
        match self.shelter(keys) {
            Some(refuge) => refuge.read_watched(keys, wake).await,
            None => self.readable("read and watch")?.read_watched(keys, wake).await,
        }
    }

    fn tell(&self, local: Arc<Local>) {
        self.redis.tell(local);
    }

    /// Woken by Redis's pushes; a change in the refuge is seen at the next look.
    fn wake(&self, key: &Key) -> Wake {
        self.redis.wake(key)
    }

    async fn claim(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        // By all that was read: what is in the slot at Redis was not looked at where a stamp's server is down.
        match self.shelter(&Self::keys(claim.slot, claim.beside)) {
            Some(refuge) => refuge.claim(claim).await,
            None => self.readable("claim")?.claim(claim).await,
        }
    }

    async fn capture(&self, stamps: &[&Key], life: Duration) -> Result<StampStates> {
        match self.shelter(stamps) {
            Some(refuge) => refuge.capture(stamps, life).await,
            None => self.readable("capture stamps")?.capture(stamps, life).await,
        }
    }

    async fn replace(&self, slot: &Key, expected: &[u8], value: &[u8], life: Duration) -> Result<Guarded> {
        if let Some(refuge) = self.refuge()
            && refuge.replace(slot, expected, value, life).await? == Guarded::Applied
        {
            return Ok(Guarded::Applied);
        }
        self.redis.replace(slot, expected, value, life).await
    }

    async fn claim_many(&self, claims: ManyClaims<'_>) -> Result<ManyClaimed> {
        let keys: Vec<&Key> =
            claims.slots.iter().map(|claim| claim.slot).chain(claims.beside.iter().copied()).collect();
        match self.shelter(&keys) {
            Some(refuge) => refuge.claim_many(claims).await,
            None => self.readable("claim")?.claim_many(claims).await,
        }
    }

    async fn replace_many(&self, replacements: &[Replacement<'_>]) -> Vec<Result<Guarded>> {
        // Each may be on either side while there is a refuge.
        match self.refuge() {
            Some(_) => many::replace(self, replacements).await,
            None => self.redis.replace_many(replacements).await,
        }
    }

    async fn extend_many(&self, held: &[Held<'_>], life: Duration) -> Vec<Result<Guarded>> {
        match self.refuge() {
            Some(_) => many::extend(self, held, life).await,
            None => self.redis.extend_many(held, life).await,
        }
    }

    async fn release_many(&self, held: &[Held<'_>]) -> Vec<Result<Guarded>> {
        match self.refuge() {
            Some(_) => many::release(self, held).await,
            None => self.redis.release_many(held).await,
        }
    }

    async fn put(&self, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
        let outcome = self.redis.put(slot, value, life).await;
        if let Some(refuge) = self.refuge() {
            refuge.invalidate(&[slot]).await?;
        }
        outcome
    }

    async fn extend(&self, key: &Key, expected: &[u8], life: Duration) -> Result<Guarded> {
        if let Some(refuge) = self.refuge()
            && refuge.extend(key, expected, life).await? == Guarded::Applied
        {
            return Ok(Guarded::Applied);
        }
        self.redis.extend(key, expected, life).await
    }

    async fn slide(&self, slot: &Key, expected: &[u8], life: Duration, step: Duration) -> Result<Guarded> {
        match self.shelter(&[slot]) {
            Some(refuge) => refuge.slide(slot, expected, life, step).await,
            None => self.redis.slide(slot, expected, life, step).await,
        }
    }

    async fn release(&self, key: &Key, expected: &[u8]) -> Result<Guarded> {
        // A hold may be on both sides.
        if let Some(refuge) = self.refuge()
            && refuge.release(key, expected).await? == Guarded::Applied
            && self.is_sheltered(key)
        {
            return Ok(Guarded::Applied);
        }
        self.redis.release(key, expected).await
    }

    async fn invalidate(&self, keys: &[&Key]) -> Result<()> {
        let outcome = self.redis.invalidate(keys).await;
        // After Redis and before it is reported: a load that began in the refuge before then is voided, and one that
        // begins later began after whatever was written.
        if let Some(refuge) = self.refuge() {
            refuge.invalidate(keys).await?;
        }
        outcome
    }

    async fn hold(&self, keys: &[&Key], hold: &[u8], life: Duration) -> Result<Vec<Overlap>> {
        let outcome = self.redis.hold(keys, hold, life).await;
        if let Some(refuge) = self.refuge() {
            let _overlaps = refuge.hold(keys, hold, life).await?;
        }
        outcome
    }

    async fn invalidate_matching(&self, pattern: &FullPattern, report: &Report<'_>) -> Result<u64> {
        let outcome = self.redis.invalidate_matching(pattern, report).await;
        if let Some(refuge) = self.refuge() {
            refuge.invalidate_matching(pattern, &Report::to_nobody()).await?;
        }
        outcome
    }

    async fn time_to_live(&self, key: &Key) -> Result<Option<Duration>> {
        match self.shelter(&[key]) {
            Some(refuge) => refuge.time_to_live(key).await,
            None => self.redis.time_to_live(key).await,
        }
    }
}
