//! Wakes those who wait for a key to change. A wake-up is a hint: every wait also has a timer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::Notify;

use crate::key::{Key, KeyBytes};

/// Who waits for which key.
#[derive(Debug, Default, Clone)]
pub(crate) struct Wakeups(Arc<Mutex<HashMap<KeyBytes, Waiting>>>);

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
        let mut waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry =
            waiting.entry(key.0.clone()).or_insert_with(|| Waiting { notify: Arc::default(), count: 0 });
        entry.count += 1;
        Wake { wakeups: self.clone(), key: key.clone(), notify: Arc::clone(&entry.notify) }
    }

    /// The key has changed.
    pub(crate) fn changed(&self, key: &[u8]) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = waiting.get(key) {
            entry.notify.notify_waiters();
        }
    }

    /// Anything may have changed: the connection was lost, or the server was flushed.
    pub(crate) fn all_changed(&self) {
        let waiting = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for entry in waiting.values() {
            entry.notify.notify_waiters();
        }
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
        let mut waiting = self.wakeups.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = waiting.get_mut(&self.key.0) {
            entry.count -= 1;
            if entry.count == 0 {
                waiting.remove(&self.key.0);
            }
        }
    }
}
