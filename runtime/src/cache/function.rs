//! One cached function: its name and what happened to its calls.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use super::count::Count;
use super::vouched::Vouched;
use crate::codec::FingerprintCell;
use crate::key::{Key, KeySpace};
use crate::telemetry;

/// A cached function as the statistics know it. The macros make one per function; make one yourself to tell the entries
/// of the programmatic API apart.
///
/// ```
/// static PRODUCTS: keylatch::Function = keylatch::Function::new("products");
/// ```
#[derive(Debug)]
pub struct Function {
    name: &'static str,
    /// The key's template with its placeholders erased, where the function names one.
    template: Option<&'static str>,
    listed: AtomicBool,
    pub(crate) fingerprint: FingerprintCell,
    vouched: Vouched,
    counters: Counters,
}

#[derive(Debug)]
struct Counters {
    hits: AtomicU64,
    local_hits: Count,
    misses: AtomicU64,
    loads: AtomicU64,
    load_micros: AtomicU64,
    waits: AtomicU64,
    refused: AtomicU64,
    errors: AtomicU64,
    invalidations: AtomicU64,
    refreshes: AtomicU64,
    failed_refreshes: AtomicU64,
    stale: AtomicU64,
}

/// What happened to the calls of one function in this process since it started, over all `Keylatch` instances.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FunctionStats {
    /// The function's path, or the name given to [`Function::new`].
    pub name: &'static str,
    /// Calls answered by a value in this process's memory, by a stored entry or by another caller's load.
    pub hits: u64,
    /// Those of them that were answered by this process's memory.
    pub local_hits: u64,
    /// Calls that found no entry to use and had to load or to wait.
    pub misses: u64,
    /// Runs of the body.
    pub loads: u64,
    /// Time spent in the body, over all loads.
    pub load_time: Duration,
    /// Calls that waited for somebody else's load.
    pub waits: u64,
    /// Loads whose result was not stored because the entry was invalidated, or the lease lost, meanwhile.
    pub refused: u64,
    /// Failures of the cache: the server, the codec, or bytes that could not be read.
    pub errors: u64,
    /// Invalidations of an entry of this function, or by this function.
    pub invalidations: u64,
    /// Loads behind a call that the entry had answered already (`refresh_after`).
    pub refreshes: u64,
    /// Those of them that failed: the old entry goes on answering until it ends.
    pub failed_refreshes: u64,
    /// Calls answered by an entry past its end, because its renewal had failed (`stale_if_error`).
    pub stale: u64,
}

static FUNCTIONS: Mutex<Vec<&'static Function>> = Mutex::new(Vec::new());

/// The statistics of every cached function that has been called in this process, in the order of their first calls.
#[must_use]
pub fn stats() -> Vec<FunctionStats> {
    let functions = FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner);
    functions.iter().map(|function| function.stats()).collect()
}

impl Function {
    /// A function by that name, for a `static`.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self::made(name, None)
    }

    /// A function whose entries belong to its template: those of all functions of that template go together.
    #[doc(hidden)]
    #[must_use]
    pub const fn of_template(name: &'static str, template: &'static str) -> Self {
        Self::made(name, Some(template))
    }

    const fn made(name: &'static str, template: Option<&'static str>) -> Self {
        const fn zero() -> AtomicU64 {
            AtomicU64::new(0)
        }
        Self {
            name,
            template,
            listed: AtomicBool::new(false),
            fingerprint: FingerprintCell::new(),
            vouched: Vouched::new(),
            counters: Counters {
                hits: zero(),
                local_hits: Count::new(),
                misses: zero(),
                loads: zero(),
                load_micros: zero(),
                waits: zero(),
                refused: zero(),
                errors: zero(),
                invalidations: zero(),
                refreshes: zero(),
                failed_refreshes: zero(),
                stale: zero(),
            },
        }
    }

    /// The name.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The stamp of all its entries. Functions of one template share it, and so can share entries.
    pub(crate) fn stamp(&self, space: &KeySpace) -> Key {
        self.template.map_or_else(|| space.function(self.name), |template| space.template(template))
    }

    pub(super) fn vouched(&self) -> &Vouched {
        &self.vouched
    }

    /// What happened so far.
    #[must_use]
    pub fn stats(&self) -> FunctionStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let counters = &self.counters;
        let local_hits = counters.local_hits.sum();
        FunctionStats {
            name: self.name,
            hits: read(&counters.hits) + local_hits,
            local_hits,
            misses: read(&counters.misses),
            loads: read(&counters.loads),
            load_time: Duration::from_micros(read(&counters.load_micros)),
            waits: read(&counters.waits),
            refused: read(&counters.refused),
            errors: read(&counters.errors),
            invalidations: read(&counters.invalidations),
            refreshes: read(&counters.refreshes),
            failed_refreshes: read(&counters.failed_refreshes),
            stale: read(&counters.stale),
        }
    }

    /// Puts the function on the list that [`stats`] shows.
    pub(crate) fn list(&'static self) {
        if !self.listed.load(Ordering::Relaxed) && !self.listed.swap(true, Ordering::Relaxed) {
            FUNCTIONS.lock().unwrap_or_else(PoisonError::into_inner).push(self);
        }
    }

    pub(crate) fn count_hit(&self) {
        add(&self.counters.hits, 1);
    }

    /// A value was found in this process's memory.
    pub(crate) fn hit_at_hand(&'static self, key: &Key) {
        self.counters.local_hits.add();
        telemetry::hit(self.name, key);
    }

    pub(crate) fn count_miss(&self) {
        add(&self.counters.misses, 1);
    }

    pub(crate) fn count_load(&self, took: Duration) {
        add(&self.counters.loads, 1);
        add(&self.counters.load_micros, u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    }

    pub(crate) fn count_wait(&self) {
        add(&self.counters.waits, 1);
    }

    pub(crate) fn count_refused(&self) {
        add(&self.counters.refused, 1);
    }

    pub(crate) fn count_error(&self) {
        add(&self.counters.errors, 1);
    }

    pub(crate) fn count_invalidation(&self) {
        add(&self.counters.invalidations, 1);
    }

    pub(crate) fn count_refresh(&self) {
        add(&self.counters.refreshes, 1);
    }

    pub(crate) fn count_failed_refresh(&self) {
        add(&self.counters.failed_refreshes, 1);
    }

    pub(crate) fn count_stale(&self) {
        add(&self.counters.stale, 1);
    }
}

fn add(counter: &AtomicU64, amount: u64) {
    counter.fetch_add(amount, Ordering::Relaxed);
}
