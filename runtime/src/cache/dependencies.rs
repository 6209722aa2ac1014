//! Finds out which cached entries a body used: they, and what they depend on, become dependencies of its own entry.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};

use crate::key::Key;
use crate::store::Stamp;

tokio::task_local! {
    static RECORDER: Recorder;
}

/// Collects what is used while one body runs. Tasks that the body spawns are not seen.
#[derive(Debug, Clone)]
pub(crate) struct Recorder(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    /// Which `Keylatch` the recording entry lives in: stamps of another one cannot be checked by its readers.
    home: usize,
    used: Mutex<Used>,
    /// Whether the body runs because the entry is held.
    held: bool,
}

/// What a body used.
#[derive(Debug, Clone, Default)]
pub(crate) struct Used {
    pub(crate) stamps: Vec<(Key, Stamp)>,
    /// Something was used whose later invalidation could not be noticed, so the result must not be stored.
    pub(crate) unaccountable: bool,
}

impl Used {
    /// What an entry depends on: what was declared, and what its body was seen to use, if that counts.
    pub(crate) fn added_to(used: Option<&Self>, declared: &[(Key, Stamp)]) -> Vec<(Key, Stamp)> {
        let mut all = declared.to_vec();
        for stamp in used.into_iter().flat_map(|used| &used.stamps) {
            if !all.contains(stamp) {
                all.push(stamp.clone());
            }
        }
        all
    }
}

impl Recorder {
    pub(crate) fn new(home: usize) -> Self {
        Self(Arc::new(Shared { home, used: Mutex::default(), held: false }))
    }

    /// The recorder of a body that runs under a hold, whose result is not stored.
    pub(crate) fn under_hold(home: usize) -> Self {
        Self(Arc::new(Shared { home, used: Mutex::default(), held: true }))
    }

    /// The recorder of the body that is running, if one is.
    pub(crate) fn current() -> Option<Self> {
        RECORDER.try_with(Self::clone).ok()
    }

    /// Whether a body is running.
    pub(crate) fn is_recording() -> bool {
        RECORDER.try_with(|_| ()).is_ok()
    }

    /// Whether the body that is running does so under a hold.
    pub(crate) fn is_held() -> bool {
        RECORDER.try_with(|recorder| recorder.0.held).unwrap_or(false)
    }

    /// Runs a body under this recorder, and only under this one: an outer body learns of inner ones from their entries.
    pub(crate) fn watch<F: Future>(&self, body: F) -> impl Future<Output = F::Output> {
        RECORDER.scope(self.clone(), body)
    }

    pub(crate) fn is_at_home(&self, home: usize) -> bool {
        self.0.home == home
    }

    pub(crate) fn used(&self, stamp: &Key, value: Stamp) {
        let mut used = self.0.used.lock().unwrap_or_else(PoisonError::into_inner);
        // One stamp may be recorded with two values: then it changed while the body ran, and the entry is stale at once.
        if !used.stamps.iter().any(|(known, at)| known == stamp && *at == value) {
            used.stamps.push((stamp.clone(), value));
        }
    }

    pub(crate) fn used_unaccountably(&self) {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).unaccountable = true;
    }

    pub(crate) fn into_used(self) -> Used {
        self.0.used.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
