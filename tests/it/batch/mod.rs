//! Batches: `#[cached(key = "product:{ids[]}")]`, one entry a record.

mod cluster;
mod cost;
mod races;
mod records;
mod shapes;
mod sharing;
mod torture;
mod waiting;

use std::collections::HashMap;
use std::sync::Mutex;
use std::time::Duration;

use keylatch::{Keylatch, cached};
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::support::{RedisServer, keylatch};

/// The source: remembers what each run of a body was given, and is the `Keylatch` that its functions use.
pub(crate) struct Db {
    pub(crate) keylatch: Keylatch,
    runs: Mutex<Vec<Vec<u64>>>,
    /// Bodies wait until this is open.
    gate: watch::Sender<bool>,
}

impl Db {
    pub(crate) fn new(keylatch: Keylatch) -> Self {
        Self { keylatch, runs: Mutex::default(), gate: watch::Sender::new(true) }
    }

    /// The ids of each run so far.
    pub(crate) fn runs(&self) -> Vec<Vec<u64>> {
        self.runs.lock().unwrap().clone()
    }

    pub(crate) fn close(&self) {
        self.gate.send_replace(false);
    }

    pub(crate) fn open(&self) {
        self.gate.send_replace(true);
    }

    pub(crate) async fn run(&self, ids: &[u64]) {
        self.runs.lock().unwrap().push(ids.to_vec());
        self.gate.subscribe().wait_for(|open| *open).await.map(drop).expect("the source lives");
    }

    /// Waits until a body runs.
    pub(crate) async fn until_runs(&self, count: usize) {
        crate::support::until("a body runs", || self.runs().len() >= count).await;
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Product {
    pub(crate) id: u64,
    pub(crate) name: String,
}

pub(crate) fn named(id: u64) -> Product {
    Product { id, name: format!("product {id}") }
}

/// There are no products from here on.
pub(crate) const MISSING: u64 = 1_000;
/// With this one, a body fails.
pub(crate) const POISON: u64 = 666;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the source failed")]
pub(crate) struct Failed;

#[cached(key = "product:{ids[]}", ttl = "1h", tags = ["products", "one:{ids[]}"], skip(db), using = db.keylatch)]
pub(crate) async fn products(db: &Db, ids: Vec<u64>) -> Result<HashMap<u64, Product>, Failed> {
    db.run(&ids).await;
    if ids.contains(&POISON) {
        return Err(Failed);
    }
    Ok(ids.into_iter().filter(|id| *id < MISSING).map(|id| (id, named(id))).collect())
}

#[cached(key = "product:{id}", ttl = "1h", tags = ["products", "one:{id}"], skip(db), using = db.keylatch)]
pub(crate) async fn product(db: &Db, id: u64) -> Result<Option<Product>, Failed> {
    db.run(&[id]).await;
    if id == POISON {
        return Err(Failed);
    }
    Ok((id < MISSING).then(|| named(id)))
}

/// Both kinds of stores. The server lives as long as the test.
pub(crate) fn stores() -> (RedisServer, [Keylatch; 2]) {
    let server = RedisServer::start();
    let on_redis = keylatch(&server);
    (server, [Keylatch::in_memory(), on_redis])
}

/// An answer in time, or nobody will ever answer.
pub(crate) async fn soon<T>(call: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), call).await.expect("an answer in time")
}
