//! Threads by number, for what is better apart than shared.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The number of this thread: in the order in which threads first asked.
#[inline]
pub(crate) fn place() -> usize {
    static THREADS: AtomicUsize = AtomicUsize::new(0);
    thread_local! {
        static PLACE: usize = THREADS.fetch_add(1, Ordering::Relaxed);
    }
    // A thread that ends may still answer a call.
    PLACE.try_with(|place| *place).unwrap_or(0)
}
