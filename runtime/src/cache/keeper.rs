//! Values in the memory of the process: what a hit there needs to know of their type.

use std::any::Any;
use std::sync::Arc;
use std::time::Duration;

use super::at_hand::Keep;
use super::decision::Expected;
use super::dependencies::Recorder;
use super::options::Local;
use super::plan::{Mode, Plan};
use crate::clock;
use crate::codec::envelope::Envelope;
use crate::local::{Facts, Found};

/// How values of one type are kept and served. Only values that can be cloned, and sent between threads, are kept.
#[derive(Debug)]
pub struct Keeper<T> {
    keep: fn(&T, Facts) -> Arc<dyn Found>,
    serve: fn(&dyn Found) -> Option<T>,
}

impl<T> Clone for Keeper<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Keeper<T> {}

struct Value<T> {
    facts: Facts,
    value: T,
}

impl<T: Send + Sync + 'static> Found for Value<T> {
    fn facts(&self) -> &Facts {
        &self.facts
    }
}

impl<T: Clone + Send + Sync + 'static> Keeper<T> {
    /// The keeper of a type that can be kept.
    pub(super) const fn new() -> Self {
        Self {
            keep: |value, facts| Arc::new(Value { facts, value: value.clone() }),
            serve: |found| (found as &dyn Any).downcast_ref::<Value<T>>().map(|found| found.value.clone()),
        }
    }
}

impl<T> Keeper<T> {
    /// What is in memory for this call, if it may be served. Bodies of cached functions are not served: what they use is
    /// recorded, with stamps that only the store knows.
    pub(super) fn find(&self, plan: &Plan, expected: Expected) -> Option<T> {
        if plan.local == Local::Off || plan.mode != Mode::ReadThrough {
            return None;
        }
        let found = plan.home.local()?.values().get(plan.key.as_bytes())?;
        if found.facts().fingerprint != expected.fingerprint || Recorder::is_recording() {
            return None;
        }
        (self.serve)(&*found)
    }

    /// Keeps what was found in the store.
    pub(super) fn keep(&self, plan: &Plan, expected: Expected, keep: Keep, entry: &[u8], value: &T) {
        let Ok(envelope) = Envelope::decode(entry) else { return };
        let now_ms = clock::wall_ms();
        // By the writer's clock; the store's own, where it says so, is exact.
        let left = Duration::from_millis(envelope.header.expires_at_ms.saturating_sub(now_ms));
        let left = keep.left.map_or(left, |exact| exact.min(left));
        let renewal = plan.options.aging.in_memory(&envelope.header, now_ms);
        let left = renewal.map_or(left, |renewal| renewal.min(left));
        let life = match plan.local {
            Local::For(limit) => left.min(limit),
            Local::Watched if keep.watched => left,
            // Nobody would tell of changes.
            Local::Watched | Local::Off => return,
        };
        let ticks = plan.home.local().map(|local| local.values().ticks().now()).unwrap_or_default();
        let facts = Facts {
            marks: keep.marks.iter().cloned().collect(),
            until: ticks.saturating_add(u64::try_from(life.as_micros()).unwrap_or(u64::MAX)),
            fingerprint: expected.fingerprint,
            // As it would be stored if it were not compressed: that is what the value takes about as much as.
            bytes: u32::try_from(entry.len() - envelope.payload.len() + envelope.plain_len())
                .unwrap_or(u32::MAX),
        };
        keep.reserved.keep((self.keep)(value, facts));
    }
}
