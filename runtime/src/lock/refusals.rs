//! Whether locks are contended at present, from the point of view of this process.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::clock::{self, Moment};

/// How long a refusal counts.
const RECENT: Duration = Duration::from_secs(1);

/// Remembers when a lock, whichever it was, was found held.
#[derive(Debug, Default)]
pub(in crate::lock) struct Refusals {
    /// Until when the last one counts, in nanoseconds of the time for leases; 0 before the first.
    until: AtomicU64,
}

impl Refusals {
    pub(in crate::lock) fn note(&self) {
        self.until.store((clock::moment() + RECENT).nanos(), Ordering::Relaxed);
    }

    pub(in crate::lock) fn are_recent(&self) -> bool {
        let until = self.until.load(Ordering::Relaxed);
        until != 0 && clock::moment() < Moment::from_nanos(until)
    }
}
