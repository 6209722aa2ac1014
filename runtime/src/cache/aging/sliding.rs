//! Lives that are pushed forward by reading.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;

use quick_cache::sync::Cache;

use super::super::decision::Prefix;
use super::super::plan::Plan;
use crate::clock::{self, Instant};
use crate::codec::envelope::{self, Envelope, Times};
use crate::key::Key;
use crate::store::Store;
use crate::telemetry;

/// How many entries this process remembers to have pushed. Of those it has forgotten it asks the store, which knows.
const REMEMBERED: usize = 1 << 16;
/// A life is pushed once this part of it has passed.
const STEP: u32 = 10;

/// When this process pushed which entry, by the hash of its key.
pub(crate) struct Slides {
    hasher: RandomState,
    /// Made by the first one: most processes have no such function.
    next: OnceLock<Cache<u64, Instant>>,
}

impl Default for Slides {
    fn default() -> Self {
        Self { hasher: RandomState::new(), next: OnceLock::new() }
    }
}

impl Slides {
    /// Whether it is time for the next push, which it then counts as made.
    fn begin(&self, key: &Key, step: std::time::Duration) -> bool {
        let times = self.next.get_or_init(|| Cache::new(REMEMBERED));
        let (hash, now) = (self.hasher.hash_one(&key.0), clock::now());
        if times.get(&hash).is_some_and(|next| now < next) {
            return false;
        }
        times.insert(hash, now + step);
        true
    }
}

/// Pushes the life of an entry that was just read forward, behind the call, if its function says so. Only as long as the
/// slot begins with what was read: an invalidation is never undone. The stamps that the entry names go with it.
pub(super) fn pushed_forward(plan: &Plan, entry: &bytes::Bytes) {
    if !plan.options.aging.sliding {
        return;
    }
    let Some(times) = Times::of(entry) else { return };
    let (life, step) = (times.life(), times.life() / STEP);
    // Just written, so the first tenth has not passed.
    if times.left(clock::wall_ms()) > life.saturating_sub(step) || step.is_zero() {
        return;
    }
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if !plan.home.slides().begin(&plan.key, step) {
        return;
    }
    let (home, function, key) = (plan.home.clone(), plan.function, plan.key.clone());
    let (entry, stamp_life) = (entry.clone(), plan.stamp_life().max(life));
    runtime.spawn(async move {
        let Some(seen) = envelope::prefix(&entry).map(Prefix::from) else { return };
        let slid = async {
            let stamps: Vec<Key> = match Envelope::decode(&entry) {
                Ok(envelope) => envelope.stamps.map(|(name, _)| Key(name.into())).collect(),
                Err(_) => return Ok(()),
            };
            let stamps: Vec<&Key> = stamps.iter().collect();
            // A stamp that is missing by now is made anew, with another value: the entry is invalid either way.
            home.store().capture(&stamps, stamp_life).await?;
            home.store().slide(&key, &seen, life, step).await.map(drop)
        };
        if let Err(error) = slid.await {
            function.count_error();
            telemetry::slide_failed(function.name(), &key, &error);
        }
    });
}
