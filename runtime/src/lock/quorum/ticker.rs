//! When votes are given up: looked at every few milliseconds, for all ballots at once. A timer for each decision, which ends
//! sooner than anything else does, would wake the runtime's driver twice a lock, for nothing as a rule: a fifth of its time.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::clock;

/// How late a vote may be given up.
pub(super) const TICK: Duration = Duration::from_millis(2);
/// Ticks for nobody after which it stops.
const IDLE: u32 = 10;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Ticker {
    ticks: Notify,
    deciding: AtomicUsize,
    is_running: AtomicBool,
}

/// Somebody who waits for a decision.
pub(super) struct Deciding(Arc<Ticker>);

impl Ticker {
    /// From now on there are ticks, until what is returned is dropped.
    pub(super) fn decide(self: &Arc<Self>) -> Deciding {
        self.deciding.fetch_add(1, Ordering::SeqCst);
        if !self.is_running.swap(true, Ordering::SeqCst) {
            tokio::spawn(tick(Running(Arc::downgrade(self))));
        }
        Deciding(Arc::clone(self))
    }
}

impl Deciding {
    pub(super) fn ticks(&self) -> &Notify {
        &self.0.ticks
    }
}

impl Drop for Deciding {
    fn drop(&mut self) {
        self.0.deciding.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Dropped with the runtime, too: then the next one who decides begins it anew.
struct Running(Weak<Ticker>);

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(ticker) = self.0.upgrade() {
            ticker.is_running.store(false, Ordering::SeqCst);
        }
    }
}

async fn tick(running: Running) {
    let mut idle = 0;
    while idle < IDLE {
        clock::sleep(TICK).await;
        let Some(ticker) = running.0.upgrade() else { return };
        idle = if ticker.deciding.load(Ordering::SeqCst) == 0 { idle + 1 } else { 0 };
        ticker.ticks.notify_waiters();
    }
    let ticker = running.0.upgrade();
    drop(running);
    if let Some(ticker) = ticker.filter(|ticker| ticker.deciding.load(Ordering::SeqCst) > 0) {
        // Somebody came in between, and left it to this one.
        drop(ticker.decide());
    }
}
