//! Knowing which servers there are: a task of its own looks it up, again at intervals and whenever there was trouble.

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::place::Hub;
use crate::clock;
use crate::error::{Error, ErrorKind, Result};

/// The least pause between two look-ups, however much trouble there is.
const LEAST_PAUSE: Duration = Duration::from_millis(50);

/// Where the knowledge comes from.
pub(super) trait LookUp: Send + Sync + 'static {
    /// Which servers there are.
    type Map: Send + Sync + 'static;
    /// How often it is looked up where there is no trouble.
    const INTERVAL: Duration;

    /// Looks it up; `known` is what was found the last time.
    fn look_up(&self, known: Option<Arc<Self::Map>>) -> impl Future<Output = Result<Self::Map>> + Send;
}

/// See the module.
pub(super) struct Directory<L: LookUp>(Arc<Shared<L>>);

struct Shared<L: LookUp> {
    source: L,
    hub: Arc<Hub>,
    known: ArcSwapOption<L::Map>,
    /// How the last look-up ended, for those who wait for the first one.
    last: watch::Sender<Option<Result<()>>>,
    running: AtomicBool,
}

impl<L: LookUp> Directory<L> {
    pub(super) fn new(source: L, hub: Arc<Hub>) -> Self {
        let (known, last) = (ArcSwapOption::empty(), watch::Sender::new(None));
        Self(Arc::new(Shared { source, hub, known, last, running: AtomicBool::new(false) }))
    }

    /// What is known, without waiting.
    pub(super) fn current(&self) -> Option<Arc<L::Map>> {
        self.0.known.load_full()
    }

    /// Whether nothing is known because the last look-up failed.
    pub(super) fn is_lost(&self) -> bool {
        self.0.known.load().is_none() && matches!(&*self.0.last.borrow(), Some(Err(_)))
    }

    /// What is known; waits for the first look-up to end.
    ///
    /// # Errors
    /// How the last look-up failed, as long as none has succeeded.
    pub(super) async fn map(&self) -> Result<Arc<L::Map>> {
        self.ensure();
        loop {
            if let Some(known) = self.current() {
                return Ok(known);
            }
            let mut last = self.0.last.subscribe();
            let ended = last.wait_for(Option::is_some).await.map(|ended| (*ended).clone());
            match ended {
                Ok(Some(Err(error))) => return Err(error),
                Ok(Some(Ok(()))) => {}
                Ok(None) | Err(_) => return Err(Error::new(ErrorKind::Unavailable, "look up the servers")),
            }
        }
    }

    /// Replaces what is known, until the next look-up.
    pub(super) fn correct(&self, change: impl Fn(&L::Map) -> L::Map) {
        self.0.known.rcu(|known| known.as_ref().map(|known| Arc::new(change(known))));
    }

    /// Sees to it that the task runs: it may have gone with its runtime.
    fn ensure(&self) {
        if self.0.running.swap(true, Ordering::AcqRel) {
            return;
        }
        let turn = Turn(Arc::downgrade(&self.0));
        tokio::spawn(async move {
            loop {
                // Nobody needs it any more.
                let Some(shared) = turn.0.upgrade() else { return };
                let found = shared.source.look_up(shared.known.load_full()).await;
                let ended = found.map(|map| shared.known.store(Some(Arc::new(map))));
                shared.last.send_replace(Some(ended));
                let hub = Arc::clone(&shared.hub);
                drop(shared);
                clock::sleep(LEAST_PAUSE).await;
                let _trouble_or_time = clock::within(L::INTERVAL, hub.trouble.notified()).await;
            }
        });
    }
}

/// The task that looks up. However it ends, another one may begin.
struct Turn<L: LookUp>(Weak<Shared<L>>);

impl<L: LookUp> Drop for Turn<L> {
    fn drop(&mut self) {
        if let Some(shared) = self.0.upgrade() {
            shared.running.store(false, Ordering::Release);
        }
    }
}

impl<L: LookUp> std::fmt::Debug for Directory<L> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Directory")
    }
}
