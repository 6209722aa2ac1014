//! The torture where replicas answer. Whoever has invalidated something reads nothing from replicas for a while, so one
//! of the instances only reads, and begins when both replicas serve it.
//!
//! A replica may lag. So what is compared with the source is what is read once the replicas have all that the primary
//! has: an entry that was stored on the word of one that lagged would be stale then, too.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use keylatch::Keylatch;
use redis::AsyncCommands;
use tokio::task::JoinSet;

use super::{INSTANCES, Topology};
use crate::support::replicated::{Replicated, reads};
use crate::torture::{By, Item, Source, stale_at_hand, within};

/// Each way has keys of its own, for the instances are the same all the time.
const KEYS: usize = 120;
const KEYS_AT_ONCE: usize = 40;
/// The one instance that only reads.
const READER: usize = INSTANCES - 1;
const READERS: usize = 6;
const WINDOW: Duration = Duration::from_millis(8);
/// News of the last changes may still be on their way to the memory of the instances.
const QUIET: Duration = Duration::from_millis(20);
/// Calls of one actor.
const CALLS: usize = 2;
/// How long finding the replicas may take: they are looked at a few times, a second apart.
const FOUND: Duration = Duration::from_secs(10);

/// Not by refreshing, which makes a writer of who does it.
const WAYS: [By; 8] =
    [By::Key, By::Tag, By::Pattern, By::Function, By::Cascade, By::Tracked, By::TrackedByPattern, By::Clear];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stale_stays() {
    let servers = Replicated::start(2).await;
    let instances: Vec<Keylatch> = (0..INSTANCES).map(|_| servers.keylatch()).collect();
    until_every_replica_serves(&instances[READER], &servers).await;
    let versions = (0..WAYS.len() * KEYS).map(|_| AtomicU64::new(0)).collect();
    let source = Arc::new(Source { versions, instances });
    let mut rng = Rng::new();
    for (way, by) in WAYS.into_iter().enumerate() {
        let before: Vec<u64> = servers.replicas.iter().map(reads).collect();
        let (mut cached, mut meanwhile) = (0, 0);
        for first in (way * KEYS..(way + 1) * KEYS).step_by(KEYS_AT_ONCE) {
            let ids = first..first + KEYS_AT_ONCE;
            let read_before = all_reads(&servers);
            meet(&source, by, ids.clone(), &mut rng).await;
            meanwhile += all_reads(&servers) - read_before;
            servers.until_caught_up().await;
            tokio::time::sleep(QUIET).await;
            let (found, stale) = stored(&source, by, ids.clone()).await;
            cached += found;
            let stale_at_hand = stale_at_hand(&source, by, ids).await;
            assert_eq!((stale, stale_at_hand), (0, 0), "{by:?}");
        }
        assert!(cached > 0, "{by:?}: nothing was cached, so nothing was shown");
        assert!(meanwhile > 0, "{by:?}: no replica was read while others wrote, so nothing was shown");
        for (replica, before) in servers.replicas.iter().zip(before) {
            assert!(reads(replica) > before, "{by:?}: one of the replicas was never read");
        }
        eprintln!("{by:?}: {cached} of {KEYS} cached, {meanwhile} reads from replicas while others wrote");
    }
}

async fn until_every_replica_serves(reader: &Keylatch, servers: &Replicated) {
    // Where nothing was ever written, there is no position to compare.
    servers.primary.query(&["SET", "unused", "1"]).expect("it is up");
    let mut redis = reader.connection().expect("there is a server");
    let deadline = Instant::now() + FOUND;
    while servers.replicas.iter().any(|replica| reads(replica) == 0) {
        let _unused: Option<u64> = redis.get("unused").await.expect("the servers are up");
        assert!(Instant::now() < deadline, "a replica is never read");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn all_reads(servers: &Replicated) -> u64 {
    servers.replicas.iter().map(reads).sum()
}

/// Around each of these, readers on every instance and a writer on each of the others meet within a few milliseconds.
async fn meet(source: &Arc<Source>, by: By, ids: Range<usize>, rng: &mut Rng) {
    let mut actors = JoinSet::new();
    for id in ids {
        for reader in 0..READERS {
            actors.spawn(read(Arc::clone(source), by, id, reader % INSTANCES, rng.fork()));
        }
        for writer in 0..READER {
            actors.spawn(write(Arc::clone(source), by, id, writer, rng.fork()));
        }
    }
    actors.join_all().await;
}

async fn read(source: Arc<Source>, by: By, id: usize, instance: usize, mut rng: Rng) {
    let keylatch = &source.instances[instance];
    for _ in 0..CALLS {
        tokio::time::sleep(WINDOW.mul_f64(rng.f64())).await;
        let load = Duration::from_micros(rng.u64(0..5_000));
        let item = Item { source: &source, keylatch, load };
        within(&mut rng, by.read(item, id)).await;
    }
}

/// Changes the source, invalidates, and reads what it has written.
async fn write(source: Arc<Source>, by: By, id: usize, instance: usize, mut rng: Rng) {
    let item = Item { source: &source, keylatch: &source.instances[instance], load: Duration::ZERO };
    for _ in 0..CALLS {
        tokio::time::sleep(WINDOW.mul_f64(rng.f64())).await;
        let version = source.versions[id].fetch_add(1, Ordering::SeqCst) + 1;
        by.invalidate(item, id).await.expect("the store is up");
        let read = by.read(item, id).await;
        assert!(
            read >= version,
            "{by:?}: {read} was read after {version} had been written, as from a replica"
        );
    }
}

/// How many entries there are, and how many of them are stale, as the primary says.
async fn stored(source: &Source, by: By, ids: Range<usize>) -> (usize, usize) {
    let (mut cached, mut stale) = (0, 0);
    for id in ids {
        let item = Item { source, keylatch: &source.instances[READER], load: Duration::ZERO };
        if let Some(value) = by.peek(item, id).await.expect("the store is up") {
            cached += 1;
            stale += usize::from(value != source.versions[id].load(Ordering::SeqCst));
        }
    }
    (cached, stale)
}
