//! A reader that starts after `invalidate()` has returned never sees an older value: in the process, and across instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use keylatch::{CachedCall, Key, Keylatch, Pattern, cached};
use tokio::task::JoinSet;

use crate::support::{RedisServer, keylatch};

const ROUNDS: u64 = 10_000;
const BACKGROUND_READERS: usize = 4;

#[cached(key = "ordered", ttl = "10m", tags = ["ordered-tag"], skip_all, using = cache)]
async fn ordered(cache: &Keylatch, version: &AtomicU64) -> u64 {
    let seen = version.load(Ordering::SeqCst);
    // The value is old by the time it is returned, so that a load under way is always tempting to join.
    for _ in 0..fastrand::u8(0..6) {
        tokio::task::yield_now().await;
    }
    seen
}

#[cached(key = "made-from-ordered", ttl = "10m", skip_all, using = cache)]
async fn made_from_ordered(cache: &Keylatch, version: &AtomicU64) -> u64 {
    ordered(cache, version).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Key,
    Tag,
    Cascade,
    CascadeByPattern,
}

async fn read(by: By, cache: &Keylatch, version: &AtomicU64) -> u64 {
    match by {
        By::Key | By::Tag => ordered(cache, version).await,
        By::Cascade | By::CascadeByPattern => made_from_ordered(cache, version).await,
    }
}

/// `rounds` times: the source changes, one instance invalidates, another reads.
async fn never_older(by: By, instances: Vec<Keylatch>, rounds: u64) {
    let version = Arc::new(AtomicU64::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let mut background = JoinSet::new();
    for reader in 0..BACKGROUND_READERS {
        let (version, done) = (Arc::clone(&version), Arc::clone(&done));
        let cache = instances[reader % instances.len()].clone();
        background.spawn(async move {
            let mut reads = 0_u64;
            while !done.load(Ordering::Relaxed) {
                read(by, &cache, &version).await;
                tokio::task::yield_now().await;
                reads += 1;
            }
            reads
        });
    }
    for round in 0..rounds {
        let writer = &instances[usize::try_from(round).unwrap() % instances.len()];
        let reader = &instances[usize::try_from(round + 1).unwrap() % instances.len()];
        let now = version.fetch_add(1, Ordering::SeqCst) + 1;
        match by {
            By::Key | By::Cascade => ordered(writer, &version).invalidate().await.unwrap(),
            By::CascadeByPattern => writer.invalidate_matching(&Pattern::of("ordered")).await.unwrap(),
            By::Tag => writer.invalidate_tag(Key::of("ordered-tag")).await.unwrap(),
        }
        let seen = read(by, reader, &version).await;
        assert!(seen >= now, "{by:?}: round {round} wrote {now} and then read {seen}");
    }
    done.store(true, Ordering::Relaxed);
    let reads: u64 =
        tokio::time::timeout(Duration::from_secs(10), background.join_all()).await.unwrap().iter().sum();
    assert!(reads > rounds / 20, "hardly anybody read meanwhile ({reads}), so nothing was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_same_process() {
    for by in [By::Key, By::Tag, By::Cascade, By::CascadeByPattern] {
        never_older(by, vec![Keylatch::in_memory()], ROUNDS).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_instances_by_key() {
    let server = RedisServer::start();
    never_older(By::Key, vec![keylatch(&server), keylatch(&server)], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_instances_by_tag() {
    let server = RedisServer::start();
    never_older(By::Tag, vec![keylatch(&server), keylatch(&server)], ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_instances_by_cascade() {
    let server = RedisServer::start();
    never_older(By::Cascade, vec![keylatch(&server), keylatch(&server)], ROUNDS / 2).await;
    never_older(By::CascadeByPattern, vec![keylatch(&server), keylatch(&server)], ROUNDS / 5).await;
}
