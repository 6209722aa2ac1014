//! How entries age: renewed behind a call, kept for a failing source, living on while they are read. To the millisecond under
//! a paused clock on the embedded store, and within bounds on Redis.

mod fleet;
mod lives;
mod refresh;
mod sliding;
mod stale;
mod torture;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use keylatch::{FunctionStats, Keylatch};

use crate::support::RedisServer;

/// What bodies load from: how often, how long it takes, and whether it fails.
pub(crate) struct Source {
    pub(crate) keylatch: Keylatch,
    loads: AtomicU32,
    millis: AtomicU64,
    failing: AtomicBool,
}

impl Source {
    fn new() -> Arc<Self> {
        Self::on(Keylatch::in_memory())
    }

    fn on(keylatch: Keylatch) -> Arc<Self> {
        Arc::new(Self {
            keylatch,
            loads: AtomicU32::new(0),
            millis: AtomicU64::new(0),
            failing: AtomicBool::new(false),
        })
    }

    /// The number of this load, after the time that it takes.
    async fn load(&self) -> Result<u32, &'static str> {
        let load = self.loads.fetch_add(1, Ordering::SeqCst) + 1;
        let millis = self.millis.load(Ordering::SeqCst);
        if millis > 0 {
            tokio::time::sleep(Duration::from_millis(millis)).await;
        }
        if self.failing.load(Ordering::SeqCst) { Err("the source is down") } else { Ok(load) }
    }

    fn loads(&self) -> u32 {
        self.loads.load(Ordering::SeqCst)
    }

    fn takes(&self, millis: u64) {
        self.millis.store(millis, Ordering::SeqCst);
    }

    fn fails(&self, failing: bool) {
        self.failing.store(failing, Ordering::SeqCst);
    }
}

/// Lets the tasks run that calls have left behind them, without time passing.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn advance(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

fn stats(function: &str) -> FunctionStats {
    let name = format!("it::fresh::{function}");
    keylatch::stats().into_iter().find(|stats| stats.name == name).expect("it was called")
}

/// What is left of the life of a key on the server, in milliseconds; below zero if it is not there.
fn left(server: &RedisServer, key: &str) -> i64 {
    match server.query(&["PTTL", key]) {
        Ok(redis::Value::Int(left)) => left,
        other => panic!("{other:?}"),
    }
}
