//! Renewals against invalidations, at random and as fast as they go: whatever is renewed behind a call, or answers for a
//! failing body, nobody who asks after an invalidation sees what was before it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Builder, CachedCall, Key, Keylatch, cached};
use tokio::task::JoinSet;

use crate::support::{RedisServer, builder};

/// What is cached: a number that only grows.
#[derive(Default)]
struct Source {
    version: AtomicU64,
    /// The version as of the last invalidation that has returned.
    floor: AtomicU64,
    done: AtomicBool,
    loads: AtomicU64,
}

impl Source {
    /// Reads first and takes its time afterwards, so that it is often out of date when it answers. Every fourth load fails.
    async fn load(&self) -> Result<u64, &'static str> {
        let version = self.version.load(Ordering::SeqCst);
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..4_000))).await;
        let load = self.loads.fetch_add(1, Ordering::SeqCst);
        if load % 4 == 3 { Err("now and then it fails") } else { Ok(version) }
    }
}

#[cached(
    key = "tortured:{id}",
    ttl = "10ms",
    refresh_after = "2ms",
    stale_if_error = "10s",
    tags = ["tortured:{id}"],
    skip(cache, source),
    using = cache
)]
async fn tortured(cache: Keylatch, source: Arc<Source>, id: u64) -> Result<u64, &'static str> {
    source.load().await
}

async fn write(cache: Keylatch, source: Arc<Source>, id: u64) {
    while !source.done.load(Ordering::SeqCst) {
        let version = source.version.fetch_add(1, Ordering::SeqCst) + 1;
        if version.is_multiple_of(2) {
            cache.invalidate_tag(Key::of("tortured").part(&id)).await.unwrap();
        } else {
            tortured(cache.clone(), Arc::clone(&source), id).invalidate().await.unwrap();
        }
        source.floor.store(version, Ordering::SeqCst);
        tokio::time::sleep(Duration::from_millis(fastrand::u64(..40))).await;
    }
}

/// How many answers there were, and how many of them from before an invalidation that had returned when they were asked for.
async fn read(cache: Keylatch, source: Arc<Source>, id: u64) -> (u64, u64) {
    let (mut answers, mut stale) = (0, 0);
    while !source.done.load(Ordering::SeqCst) {
        let floor = source.floor.load(Ordering::SeqCst);
        if let Ok(version) = tortured(cache.clone(), Arc::clone(&source), id).await {
            answers += 1;
            stale += u64::from(version < floor);
        }
        tokio::time::sleep(Duration::from_micros(fastrand::u64(..1_000))).await;
    }
    (answers, stale)
}

async fn torture(change: fn(Builder) -> Builder) -> (u64, u64) {
    let server = RedisServer::start();
    let instances: Vec<Keylatch> = (0..3)
        .map(|_| change(builder(&server).pool_size(1)).build().expect("the test's settings are good"))
        .collect();
    let mut readers = JoinSet::new();
    let mut writers = JoinSet::new();
    let sources: Vec<_> = (0..4).map(|_| Arc::new(Source::default())).collect();
    for (id, source) in (0..).zip(&sources) {
        writers.spawn(write(instances[0].clone(), Arc::clone(source), id));
        for instance in &instances {
            readers.spawn(read(instance.clone(), Arc::clone(source), id));
            readers.spawn(read(instance.clone(), Arc::clone(source), id));
        }
    }
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    for source in &sources {
        source.done.store(true, Ordering::SeqCst);
    }
    writers.join_all().await;
    let seen = readers.join_all().await;
    seen.iter().fold((0, 0), |(answers, stale), (more, old)| (answers + more, stale + old))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_sees_what_was_before_an_invalidation() {
    let (answers, stale) = torture(|builder| builder).await;
    let stats = super::stats("torture::tortured");
    assert_eq!(stale, 0, "{answers} answers; {stats:?}");
    // Everything that was to be tortured did happen.
    let happened = [stats.hits, stats.refreshes, stats.failed_refreshes, stats.stale, stats.refused];
    assert!(happened.iter().all(|count| *count > 0), "{answers} answers; {stats:?}");
}

/// The mutant: without the check of fills, renewals bring old values back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_check_of_fills_somebody_does() {
    let (answers, stale) = torture(Builder::without_fill_check).await;
    assert!(stale > 0, "{answers} answers");
}
