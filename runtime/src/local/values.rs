//! L1: decoded values, bounded in bytes over all functions together.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use quick_cache::sync::{Cache, DefaultLifecycle};
use quick_cache::{DefaultHashBuilder, OptionsBuilder, Weighter};
use smallvec::SmallVec;

use super::Mark;
use super::ticks::{Tick, Ticks};

/// Bytes of an entry beside its key and its value: the cache's own records, the counts of the `Arc`, the facts.
const OVERHEAD: usize = 104;
const SHARDS: usize = 8;

/// Values by the full keys of their entries.
pub(crate) struct Values {
    cache: Cache<Box<[u8]>, Arc<dyn Found>, ByBytes>,
    ticks: Ticks,
    limit: u64,
}

/// A value with the facts about it, whatever its type. A hit asks for the type it expects.
pub(crate) trait Found: Any + Send + Sync {
    fn facts(&self) -> &Facts;
}

/// When a value may be served.
pub(crate) struct Facts {
    /// What it depends on. Most depend on two: everything, and their function.
    pub(crate) marks: SmallVec<[Arc<Mark>; 2]>,
    /// Until when.
    pub(crate) until: Tick,
    /// Shape and version of its type.
    pub(crate) fingerprint: u64,
    /// What it is counted as.
    pub(crate) bytes: u32,
}

#[derive(Clone)]
struct ByBytes;

impl Weighter<Box<[u8]>, Arc<dyn Found>> for ByBytes {
    fn weight(&self, key: &Box<[u8]>, value: &Arc<dyn Found>) -> u64 {
        (key.len() + OVERHEAD) as u64 + u64::from(value.facts().bytes)
    }
}

impl Values {
    pub(super) fn new(limit: u64, ticks: Ticks) -> Self {
        // An entry heavier than a shard is not kept, so a small limit gets one shard.
        let shards = if limit < 16 << 20 { 1 } else { SHARDS };
        let options = OptionsBuilder::new()
            .shards(shards)
            .estimated_items_capacity(usize::try_from(limit / 512).unwrap_or(1 << 20).clamp(16, 1 << 20))
            .weight_capacity(limit)
            .build()
            .expect("capacities are given");
        let cache =
            Cache::with_options(options, ByBytes, DefaultHashBuilder::default(), DefaultLifecycle::default());
        Self { cache, ticks, limit }
    }

    /// Whether any are kept at all.
    pub(crate) fn are_kept(&self) -> bool {
        self.limit > 0
    }

    pub(crate) fn ticks(&self) -> &Ticks {
        &self.ticks
    }

    /// The value, if it may still be served.
    pub(crate) fn get(&self, key: &[u8]) -> Option<Arc<dyn Found>> {
        let found = self.cache.get(key)?;
        if self.may_be_served(&*found) {
            return Some(found);
        }
        self.cache.remove_if(key, |found| !self.may_be_served(&**found));
        None
    }

    fn may_be_served(&self, found: &dyn Found) -> bool {
        let facts = found.facts();
        facts.marks.iter().all(|mark| mark.stands()) && self.ticks.now() < facts.until
    }

    pub(super) fn insert(&self, key: &[u8], value: Arc<dyn Found>) {
        self.cache.insert(key.into(), value);
    }

    pub(super) fn remove(&self, key: &[u8]) {
        self.cache.remove(key);
    }

    pub(super) fn remove_where(&self, matches: impl Fn(&[u8]) -> bool) {
        self.cache.retain(|key, _| !matches(key));
    }

    pub(super) fn clear(&self) {
        self.cache.clear();
    }
}

impl fmt::Debug for Values {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Values").field("limit", &self.limit).finish_non_exhaustive()
    }
}
