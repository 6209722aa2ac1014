//! Tells of changes: drops what the process has at hand, and wakes those who wait for a key. A wake-up is a hint: every wait
//! also has a timer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use crate::key::{Key, KeyBytes};
use crate::local::Local;

/// Whom to tell of changes, and who waits for which key.
#[derive(Debug, Default, Clone)]
pub(crate) struct Wakeups(Arc<Shared>);

#[derive(Debug, Default)]
struct Shared {
    local: OnceLock<Arc<Local>>,
    waiting: Mutex<HashMap<KeyBytes, Waiting>>,
}

#[derive(Debug)]
struct Waiting {
    notify: Arc<Notify>,
    count: usize,
}

/// Interest in one key. Dropping it ends the interest.
#[derive(Debug)]
pub(crate) struct Wake {
    wakeups: Wakeups,
    key: Key,
    notify: Arc<Notify>,
}

impl Wakeups {
    pub(crate) fn wake(&self, key: &Key) -> Wake {
        let mut waiting = self.0.waiting();
        let entry =
            waiting.entry(key.0.clone()).or_insert_with(|| Waiting { notify: Arc::default(), count: 0 });
        entry.count += 1;
        Wake { wakeups: self.clone(), key: key.clone(), notify: Arc::clone(&entry.notify) }
    }

    /// What is at hand is dropped from now on. A second one is not told.
    pub(crate) fn tell(&self, local: Arc<Local>) {
        let _second = self.0.local.set(local);
    }

    /// Whether what is told of is kept by its value, too.
    pub(crate) fn are_values_kept(&self) -> bool {
        self.0.local.get().is_some_and(|local| local.values().are_kept())
    }

    /// The key has changed.
    pub(crate) fn changed(&self, key: &[u8]) {
        if let Some(local) = self.0.local.get() {
            local.changed(key);
        }
        let waiting = self.0.waiting();
        if let Some(entry) = waiting.get(key) {
            entry.notify.notify_waiters();
        }
    }

    /// Anything may have changed: the connection was lost, or the server was flushed.
    pub(crate) fn all_changed(&self) {
        if let Some(local) = self.0.local.get() {
            local.all_changed();
        }
        let waiting = self.0.waiting();
        for entry in waiting.values() {
            entry.notify.notify_waiters();
        }
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<KeyBytes, Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Wake {
    /// Completes at the next change. Interest begins when this is called, not when it is first polled, so ask for it
    /// before reading.
    pub(crate) fn changed(&self) -> tokio::sync::futures::Notified<'_> {
        self.notify.notified()
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        let mut waiting = self.wakeups.0.waiting();
        if let Some(entry) = waiting.get_mut(&self.key.0) {
            entry.count -= 1;
            if entry.count == 0 {
                waiting.remove(&self.key.0);
            }
        }
    }
}
