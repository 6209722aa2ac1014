//! `#[cache_put]`: what a writer returns becomes the entry of a cached call, unless the entry was changed since the writer
//! began; then, and whenever the value cannot be stored, the entry is invalidated instead. So once the writer has returned,
//! the entry is its value or gone, and never something from before the write.

use std::future::Future;
use std::pin::pin;

use futures_util::future::join_all;

use super::call::CachedCall;
use super::decision::Prefix;
use super::function::Function;
use super::outcome::Outcome;
use super::plan::Plan;
use super::put::{self, Encoded, Replacing};
use crate::codec::envelope;
use crate::error::Result;
use crate::invalidation::Invalidation;
use crate::key::Key;
use crate::store::{Claim, ClaimRequest, Freshness, Guarded, Lease, MARK_LIFE, Slot, Stamp, Store};
use crate::telemetry;

/// The puts of one run of a writer. Filled in by generated code: [`before`](Self::before) for what is known then, [`run`](Self::run),
/// the values if the body has succeeded, and [`finish`](Self::finish).
#[derive(Debug)]
pub struct Put {
    function: &'static Function,
    entries: Vec<Entry>,
    enabled: bool,
    succeeded: bool,
}

#[derive(Debug)]
struct Entry {
    plan: Plan,
    right: Right,
    value: Option<Encoded>,
}

/// What the value may be stored over.
#[derive(Debug)]
enum Right {
    /// Exactly what was in the slot before the body ran, under the stamps of that time.
    Over { seen: Prefix, stamps: Vec<(Key, Stamp)>, marked: bool },
    /// Anything: the entry was not known before the body ran.
    Anything,
    /// Nothing: the entry is held, or could not be read.
    Nothing,
}

/// The value of a writer's result, or nothing for an error.
pub fn success<S, T: Outcome<S>>(output: &T) -> Option<&T::Value> {
    output.value()
}

impl Put {
    /// Nothing yet, on behalf of that writer.
    #[must_use]
    pub fn new(function: &'static Function) -> Self {
        function.list();
        Self { function, entries: Vec::new(), enabled: true, succeeded: false }
    }

    /// Nothing is stored unless `condition`.
    pub fn only_if(&mut self, condition: bool) {
        self.enabled &= condition;
    }

    /// An entry that is known before the body runs.
    pub fn before(&mut self, call: &impl CachedCall) {
        let plan = call.plan().clone();
        if self.known(&plan).is_none() {
            self.entries.push(Entry { plan, right: Right::Nothing, value: None });
        }
    }

    /// Runs the body, after a look at the entries that are known.
    pub async fn run<T, B, F>(&mut self, body: B) -> T
    where
        B: FnOnce() -> F,
        F: Future<Output = T>,
    {
        if self.enabled {
            join_all(self.entries.iter_mut().map(Entry::look)).await;
        }
        body().await
    }

    /// The value of an entry that was named [before](Self::before). Should its arguments have changed meanwhile, it is
    /// another entry, which is invalidated as that one is.
    pub fn value<V>(&mut self, call: impl CachedCall<Value = V>, value: &V) {
        self.put(call.encoded(value), Right::Nothing);
    }

    /// The value of an entry that is only known now, unless it was named before all the same.
    pub fn value_named_by_result<V>(&mut self, call: impl CachedCall<Value = V>, value: &V) {
        self.put(call.encoded(value), Right::Anything);
    }

    fn put(&mut self, (plan, encoded): (Plan, Encoded), right: Right) {
        self.succeeded = true;
        match self.known(&plan) {
            // Named twice, it is put once: it is the same value.
            Some(entry) => {
                entry.value.get_or_insert(encoded);
            }
            None => self.entries.push(Entry { plan, right, value: Some(encoded) }),
        }
    }

    fn known(&mut self, plan: &Plan) -> Option<&mut Entry> {
        let same = |entry: &&mut Entry| entry.plan.key == plan.key && entry.plan.home.id() == plan.home.id();
        self.entries.iter_mut().find(same)
    }

    /// Stores the values, or leaves the entries as they were if the body has failed. Failures are kept, traced and counted;
    /// none of them is the writer's.
    pub async fn finish(self) {
        let Self { function, entries, enabled, succeeded } = self;
        join_all(entries.into_iter().map(|entry| async move {
            if enabled && succeeded {
                entry.store_or_invalidate(function).await;
            } else {
                entry.leave().await;
            }
        }))
        .await;
    }
}

impl Entry {
    async fn look(&mut self) {
        let limit = self.plan.options.timeout;
        match self.plan.home.in_time(limit, "look up ahead of a put", pin!(look(&self.plan))).await {
            Ok(right) => self.right = right,
            Err(error) => {
                self.plan.function.count_error();
                telemetry::put_unprepared(self.plan.function.name(), &self.plan.key, &error);
            }
        }
    }

    async fn store_or_invalidate(self, function: &'static Function) {
        let Self { plan, right, value } = self;
        let limit = plan.options.timeout;
        let mut unsettled = Unsettled(Some((function, &plan)));
        let stored = plan.home.in_time(limit, "put", pin!(store(&plan, right, value))).await;
        match stored {
            Ok(true) => {
                unsettled.0 = None;
                return;
            }
            Ok(false) => telemetry::put_refused(plan.function.name(), &plan.key),
            Err(error) => {
                plan.function.count_error();
                telemetry::put_failed(plan.function.name(), &plan.key, &error);
            }
        }
        // What is there may be from before the write.
        if let Some(invalidation) = unsettled.take() {
            // A failure is kept, repeated and traced there.
            let _ = invalidation.apply().await;
        }
    }

    async fn leave(self) {
        if let Right::Over { seen, marked: true, .. } = &self.right {
            let release = pin!(self.plan.home.store().release(&self.plan.key, seen));
            // A mark that stays expires by itself, and is in nobody's way.
            let _ = self.plan.home.in_time(self.plan.options.timeout, "release", release).await;
        }
    }
}

/// An entry that may be from before the write. If its writer is dropped now, it is invalidated behind it.
struct Unsettled<'a>(Option<(&'static Function, &'a Plan)>);

impl Unsettled<'_> {
    fn take(&mut self) -> Option<Invalidation> {
        let (function, plan) = self.0.take()?;
        let mut invalidation = Invalidation::new(function, plan.home.clone());
        invalidation.entry(plan);
        Some(invalidation)
    }
}

impl Drop for Unsettled<'_> {
    fn drop(&mut self) {
        if let Some(invalidation) = self.take() {
            invalidation.leave_behind();
        }
    }
}

/// What is in the slot, and the stamps, before the body runs. Where there is nothing, a mark that others take for nothing:
/// whoever loads meanwhile replaces it, and then the load counts and not the put.
async fn look(plan: &Plan) -> Result<Right> {
    plan.home.open("put")?;
    plan.home.repeat_kept_invalidations(&plan.key).await?;
    let store = plan.home.store();
    let found = store.read(&[&plan.key], Freshness::Current).await?;
    let seen = match Slot::of(found.values[0].as_deref()) {
        Slot::Absent => return mark(plan).await,
        Slot::Hold => return Ok(Right::Nothing),
        Slot::Lease(lease) => Prefix::from(lease.as_bytes()),
        Slot::Value(bytes) | Slot::Foreign(bytes) => {
            envelope::prefix(bytes).unwrap_or(&bytes[..bytes.len().min(64)]).into()
        }
    };
    let stamps = put::capture(plan, plan.stamp_life()).await?;
    Ok(stamps.map_or(Right::Nothing, |stamps| Right::Over { seen, stamps, marked: false }))
}

async fn mark(plan: &Plan) -> Result<Right> {
    let mark = Lease::mark();
    let stamps: Vec<&Key> = plan.stamps().iter().collect();
    let claim = plan.home.store().claim(ClaimRequest {
        slot: &plan.key,
        over: None,
        lease: mark,
        lease_life: MARK_LIFE,
        stamps: &stamps,
        stamp_life: plan.stamp_life(),
        beside: &stamps,
    });
    // Whoever was faster has changed the slot since this writer began.
    let Claim::Won(states) = claim.await? else { return Ok(Right::Nothing) };
    Ok(plan.current(&states).map_or(Right::Nothing, |stamps| Right::Over {
        seen: mark.as_bytes().into(),
        stamps,
        marked: true,
    }))
}

/// Whether the value is stored.
async fn store(plan: &Plan, right: Right, value: Option<Encoded>) -> Result<bool> {
    let Some(encoded) = value else { return Ok(false) };
    let (seen, stamps) = match right {
        Right::Nothing => return Ok(false),
        Right::Anything => return put::put(plan, encoded).await,
        Right::Over { .. } if !plan.home.rules().check_fills => return put::put(plan, encoded).await,
        Right::Over { seen, stamps, .. } => (seen, stamps),
    };
    let Some((envelope, life)) = encoded.envelope(plan, &stamps)? else { return Ok(false) };
    put::push_forward(plan, life).await;
    let replacing = Replacing::of(plan);
    match plan.home.store().replace(&plan.key, &seen, &envelope, life).await? {
        Guarded::Applied => replacing.done(plan).await.map(|()| true),
        Guarded::Refused => {
            replacing.made_from.call_off();
            plan.function.count_refused();
            Ok(false)
        }
    }
}
