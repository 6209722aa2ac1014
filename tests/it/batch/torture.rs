//! Promise 1 for batches: no permanently stale record, whatever the interleaving.
//!
//! As the torture of single calls, with readers of overlapping batches, readers of one record and writers of one or more.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use keylatch::{CachedBatch, CachedCall, Key, Keylatch, cached};

use crate::support::{RedisServer, builder};

struct Source {
    versions: Vec<AtomicU64>,
    instances: Vec<Keylatch>,
}

#[derive(Clone, Copy)]
struct Read<'a> {
    source: &'a Source,
    keylatch: &'a Keylatch,
    load: Duration,
}

#[cached(key = "item:{ids[]}", ttl = "10m", tags = ["item-tag:{ids[]}"], skip(read), using = read.keylatch)]
async fn items(read: Read<'_>, ids: Vec<usize>) -> HashMap<usize, u64> {
    let versions = ids.iter().map(|&id| (id, read.source.versions[id].load(Ordering::SeqCst))).collect();
    tokio::time::sleep(read.load).await;
    versions
}

#[cached(key = "item:{id}", ttl = "10m", tags = ["item-tag:{id}"], skip(read), using = read.keylatch)]
async fn item(read: Read<'_>, id: usize) -> u64 {
    let version = read.source.versions[id].load(Ordering::SeqCst);
    tokio::time::sleep(read.load).await;
    version
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Key,
    Batch,
    Tag,
    Function,
    Refresh,
}

const KEYS: usize = 1_200;
const AT_ONCE: usize = 40;
const READERS: usize = 24;
const WRITERS: usize = 40;
const WINDOW: Duration = Duration::from_millis(8);

async fn run(source: Arc<Source>, by: By, seed: u64) -> (usize, usize) {
    let mut rng = Rng::with_seed(seed);
    let (mut cached, mut stale) = (0, 0);
    for first in (0..source.versions.len()).step_by(AT_ONCE) {
        let mut actors = tokio::task::JoinSet::new();
        for index in 0..READERS {
            actors.spawn(reader(Arc::clone(&source), by, first, index, rng.fork()));
        }
        for index in 0..WRITERS {
            actors.spawn(writer(Arc::clone(&source), by, first, index, rng.fork()));
        }
        while let Some(ended) = actors.join_next().await {
            ended.expect("no actor panics");
        }
        let read = Read { source: &source, keylatch: &source.instances[0], load: Duration::ZERO };
        let stored = items(read, (first..first + AT_ONCE).collect()).peek().await.expect("the store is up");
        cached += stored.len();
        stale += stored
            .into_iter()
            .filter(|(id, value)| *value != source.versions[*id].load(Ordering::SeqCst))
            .count();
    }
    (cached, stale)
}

async fn reader(source: Arc<Source>, by: By, first: usize, index: usize, mut rng: Rng) {
    tokio::time::sleep(WINDOW.mul_f64(rng.f64())).await;
    let keylatch = &source.instances[index % source.instances.len()];
    let read = Read { source: &source, keylatch, load: Duration::from_micros(rng.u64(0..5_000)) };
    let ids: Vec<usize> = (0..rng.usize(1..12)).map(|_| first + rng.usize(0..AT_ONCE)).collect();
    let limit =
        if rng.u8(0..5) == 0 { Duration::from_micros(rng.u64(0..6_000)) } else { Duration::from_secs(60) };
    let _dropped = match rng.u8(0..4) {
        0 => tokio::time::timeout(limit, item(read, ids[0])).await.map(drop),
        1 if by == By::Refresh => tokio::time::timeout(limit, items(read, ids).refresh()).await.map(drop),
        _ => tokio::time::timeout(limit, items(read, ids)).await.map(drop),
    };
}

async fn writer(source: Arc<Source>, by: By, first: usize, index: usize, mut rng: Rng) {
    tokio::time::sleep(WINDOW.mul_f64(rng.f64())).await;
    let keylatch = &source.instances[index % source.instances.len()];
    let read = Read { source: &source, keylatch, load: Duration::ZERO };
    let id = first + index % AT_ONCE;
    source.versions[id].fetch_add(1, Ordering::SeqCst);
    let invalidated = match by {
        By::Key | By::Refresh => item(read, id).invalidate().await,
        By::Batch => items(read, vec![id, first]).invalidate().await,
        By::Tag => keylatch.invalidate_tag(Key::of("item-tag").part(&id)).await,
        By::Function => items(read, vec![]).invalidate_all().await,
    };
    invalidated.expect("the store is up");
}

fn seed() -> u64 {
    let seed = std::env::var("KEYLATCH_TORTURE_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or_else(|| fastrand::u64(..))
}

fn source(instances: Vec<Keylatch>) -> Arc<Source> {
    Arc::new(Source { versions: (0..KEYS).map(|_| AtomicU64::new(0)).collect(), instances })
}

async fn none_is_stale(instances: &[Keylatch]) {
    for by in [By::Key, By::Batch, By::Tag, By::Function, By::Refresh] {
        let seed = seed();
        let (cached, stale) = run(source(instances.to_vec()), by, seed).await;
        eprintln!("{by:?}: seed {seed}: {cached} of {KEYS} cached, {stale} stale");
        assert_eq!(stale, 0, "{by:?}, KEYLATCH_TORTURE_SEED={seed}");
        assert!(cached > 0, "{by:?}: nothing was cached, so nothing was shown");
        instances[0].clear().await.expect("the store is up");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_redis() {
    let server = RedisServer::start();
    let instances: Vec<_> = (0..3).map(|_| builder(&server).build().expect("good settings")).collect();
    none_is_stale(&instances).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn embedded() {
    none_is_stale(&[Keylatch::in_memory()]).await;
}

/// The mutant: with the fill check off, the same run must find stale records, or it would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fill_check_records_are_stale() {
    let server = RedisServer::start();
    let broken = |builder: keylatch::Builder| builder.without_fill_check().build().expect("good settings");
    let on_redis = (0..3).map(|_| broken(builder(&server))).collect();
    for (name, instances) in [("redis", on_redis), ("embedded", vec![broken(Keylatch::builder())])] {
        let (cached, stale) = run(source(instances), By::Key, seed()).await;
        eprintln!("without the fill check on {name}: {cached} cached, {stale} stale");
        assert!(stale > 0, "{name}: the test does not bite");
    }
}
