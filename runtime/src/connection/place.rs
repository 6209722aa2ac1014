//! Which server serves in a place, and whether it is the one that did before.
//!
//! A server that was restarted may have loaded an old snapshot, and a promoted replica may never have seen the last
//! invalidations. Until it has been told them, it is *unfamiliar*: no entry is read from it.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, Once, PoisonError, Weak};

use tokio::sync::Notify;

use crate::instance::AfterFailover;
use crate::store::Wakeups;
use crate::telemetry;

/// What all servers of one connection share.
#[derive(Debug)]
pub(crate) struct Hub {
    /// Those who wait for a key to change.
    pub(super) wakeups: Wakeups,
    /// Done when it has been said that a server does not tell of changes.
    untold: Once,
    after_failover: AfterFailover,
    any_strangers: AtomicBool,
    strangers: Mutex<Vec<Weak<Place>>>,
    meetings: AtomicU64,
    /// A server was lost or sent us elsewhere: whoever knows which servers there are should look again.
    pub(super) trouble: Notify,
}

/// One part that a server plays: the only one, the primary, an owner of slots.
#[derive(Debug)]
pub(crate) struct Place {
    hub: Arc<Hub>,
    run_id: Mutex<Option<String>>,
    /// The number of the meeting with a server that has not been told the last invalidations; 0 for none.
    stranger: AtomicU64,
}

impl Hub {
    pub(super) fn new(after_failover: AfterFailover) -> Arc<Self> {
        Arc::new(Self {
            wakeups: Wakeups::default(),
            untold: Once::new(),
            after_failover,
            any_strangers: AtomicBool::new(false),
            strangers: Mutex::default(),
            meetings: AtomicU64::new(0),
            trouble: Notify::new(),
        })
    }

    pub(super) fn after_failover(&self) -> AfterFailover {
        self.after_failover
    }

    /// A server does not tell of changes of what is read from it: said once, where values would be kept if it did.
    pub(super) fn untold(&self, address: &str) {
        if self.wakeups.are_values_kept() {
            self.untold.call_once(|| telemetry::untold(address));
        }
    }

    /// Servers that must be told the last invalidations.
    pub(crate) fn strangers(&self) -> Vec<Stranger> {
        if !self.has_strangers() {
            return Vec::new();
        }
        let places: Vec<_> = self.list().iter().filter_map(Weak::upgrade).collect();
        places
            .into_iter()
            .map(|place| Stranger { meeting: place.stranger.load(Ordering::Acquire), place })
            .filter(|stranger| stranger.meeting != 0)
            .collect()
    }

    pub(crate) fn has_strangers(&self) -> bool {
        self.any_strangers.load(Ordering::Acquire)
    }

    fn list(&self) -> MutexGuard<'_, Vec<Weak<Place>>> {
        self.strangers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A server that may not know the last invalidations.
#[derive(Debug)]
pub(crate) struct Stranger {
    place: Arc<Place>,
    meeting: u64,
}

impl Stranger {
    /// It has been told.
    pub(crate) fn told(self) {
        let Self { place, meeting } = self;
        // Refused if there is yet another server by now, which then stays a stranger.
        let _ = place.stranger.compare_exchange(meeting, 0, Ordering::AcqRel, Ordering::Acquire);
        let mut list = place.hub.list();
        list.retain(|other| other.upgrade().is_some_and(|place| place.is_strange()));
        place.hub.any_strangers.store(!list.is_empty(), Ordering::Release);
    }
}

impl Place {
    pub(super) fn new(hub: &Arc<Hub>) -> Arc<Self> {
        Arc::new(Self { hub: Arc::clone(hub), run_id: Mutex::new(None), stranger: AtomicU64::new(0) })
    }

    pub(super) fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// Whether the server here may not know the last invalidations.
    pub(super) fn is_strange(&self) -> bool {
        self.stranger.load(Ordering::Acquire) != 0
    }

    pub(super) fn run_id(&self) -> Option<String> {
        self.known().clone().filter(|run_id| !run_id.is_empty())
    }

    /// Whether the server that was met last is that run.
    pub(super) fn is_run(&self, run_id: &str) -> bool {
        !run_id.is_empty() && self.known().as_deref() == Some(run_id)
    }

    /// A server answered here, before anything is read from it. One that does not tell its run id counts as another one
    /// each time.
    pub(super) fn met(self: &Arc<Self>, run_id: Option<&str>, address: &str) {
        let mut known = self.known();
        let another = known.is_some() && (run_id.is_none() || known.as_deref() != run_id);
        if another {
            self.estrange(address);
        }
        if run_id.is_none() && known.as_deref() != Some("") {
            telemetry::nameless(address, self.hub.after_failover == AfterFailover::Distrust);
        }
        *known = Some(run_id.unwrap_or_default().to_owned());
    }

    /// This server took over from another one.
    pub(super) fn estrange(self: &Arc<Self>, address: &str) {
        telemetry::unfamiliar(address);
        if self.hub.after_failover != AfterFailover::Replay {
            return;
        }
        let meeting = self.hub.meetings.fetch_add(1, Ordering::AcqRel) + 1;
        let mut list = self.hub.list();
        self.stranger.store(meeting, Ordering::Release);
        list.push(Arc::downgrade(self));
        self.hub.any_strangers.store(true, Ordering::Release);
    }

    fn known(&self) -> MutexGuard<'_, Option<String>> {
        self.run_id.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
