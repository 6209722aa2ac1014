//! How locks take the mutexes that tasks of this process share.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Takes the mutex. In tests that explore schedules, somebody else may have his turn first (see `explored.rs`).
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(test)]
    super::explored::turn();
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
