//! One load per key: in a process, over processes, and when the leader fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use keylatch::{CachedCall, Keylatch, cached};
use tokio::task::JoinSet;

use crate::support::{RedisServer, builder, keylatch};

/// How a body is to go, by the number of its run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum First {
    IsLikeTheRest,
    NeverEnds,
    Panics,
    Fails,
}

struct Source {
    runs: AtomicU32,
    load: Duration,
    first: First,
}

impl Source {
    fn new(load: Duration, first: First) -> Arc<Self> {
        Arc::new(Self { runs: AtomicU32::new(0), load, first })
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    async fn load(&self) -> Result<u32, &'static str> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(self.load).await;
        match self.first {
            First::NeverEnds if run == 1 => std::future::pending().await,
            First::Panics if run == 1 => panic!("the first body panics on purpose"),
            First::Fails if run == 1 => Err("the first body fails on purpose"),
            _ => Ok(42),
        }
    }
}

#[cached(key = "cold:{id}", ttl = "1m", skip(cache, source), using = cache)]
async fn cold(cache: &Keylatch, source: &Source, id: u32) -> Result<u32, &'static str> {
    source.load().await
}

fn callers(
    count: usize,
    instances: &[Keylatch],
    source: &Arc<Source>,
) -> JoinSet<Option<Result<u32, &'static str>>> {
    let mut callers = JoinSet::new();
    for index in 0..count {
        let (cache, source) = (instances[index % instances.len()].clone(), Arc::clone(source));
        callers.spawn(async move {
            std::panic::AssertUnwindSafe(cold(&cache, &source, 1)).catch_unwind().await.ok()
        });
    }
    callers
}

/// Everybody's answer, within a time that only a hang exceeds.
async fn all(callers: JoinSet<Option<Result<u32, &'static str>>>) -> Vec<Option<Result<u32, &'static str>>> {
    tokio::time::timeout(Duration::from_secs(20), callers.join_all()).await.expect("somebody hangs")
}

async fn one_run(count: usize, instances: Vec<Keylatch>) {
    let source = Source::new(Duration::from_millis(50), First::IsLikeTheRest);
    let answers = all(callers(count, &instances, &source)).await;
    assert_eq!(answers.len(), count);
    assert!(answers.iter().all(|answer| *answer == Some(Ok(42))));
    assert_eq!(source.runs(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_callers_of_one_process_load_once() {
    let server = RedisServer::start();
    one_run(1_000, vec![Keylatch::in_memory()]).await;
    one_run(1_000, vec![keylatch(&server)]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_three_instances_load_once() {
    let server = RedisServer::start();
    one_run(900, vec![keylatch(&server), keylatch(&server), keylatch(&server)]).await;
}

/// A caller leads and is gone; who waits takes over, with one more run in all.
async fn the_next_takes_over(instances: &[Keylatch], first: First) {
    let source = Source::new(Duration::from_millis(20), first);
    let (cache, leading) = (instances[0].clone(), Arc::clone(&source));
    let leader = tokio::spawn(async move { cold(&cache, &leading, 1).await });
    while source.runs() == 0 {
        tokio::task::yield_now().await;
    }
    let others = callers(300, instances, &source);
    if first == First::NeverEnds {
        // The others wait by now, or will find the lease.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(source.runs(), 1);
        leader.abort();
    }
    let answers = all(others).await;
    assert!(answers.iter().all(|answer| *answer == Some(Ok(42))), "{first:?}");
    assert_eq!(source.runs(), 2, "{first:?}");
    let led = leader.await;
    assert!(led.is_err(), "{first:?}: {led:?}");
    for cache in instances {
        cold(cache, &source, 1).invalidate().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_or_panicking_leader_is_followed_by_one() {
    let server = RedisServer::start();
    for first in [First::NeverEnds, First::Panics] {
        the_next_takes_over(&[Keylatch::in_memory()], first).await;
        the_next_takes_over(&[keylatch(&server)], first).await;
        the_next_takes_over(&[keylatch(&server), keylatch(&server), keylatch(&server)], first).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_leader_holds_nobody_up() {
    let server = RedisServer::start();
    for instances in [vec![Keylatch::in_memory()], vec![keylatch(&server), keylatch(&server)]] {
        let source = Source::new(Duration::from_millis(20), First::Fails);
        let answers = all(callers(100, &instances, &source)).await;
        let failed = answers.iter().filter(|answer| matches!(answer, Some(Err(_)))).count();
        assert_eq!(failed, 1, "an error is its own caller's alone");
        assert_eq!(cold(&instances[0], &source, 1).await, Ok(42));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lease_lasts_as_long_as_its_load() {
    let server = RedisServer::start();
    let instance = || builder(&server).lease(Duration::from_millis(300)).build().unwrap();
    let source = Source::new(Duration::from_millis(1_200), First::IsLikeTheRest);
    let answers = all(callers(40, &[instance(), instance()], &source)).await;
    assert!(answers.iter().all(|answer| *answer == Some(Ok(42))));
    assert_eq!(source.runs(), 1);
}

/// The body of a process that is killed while it loads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_loads_for_ever() {
    let Some(url) = crate::support::child::argument("child_loads_for_ever") else { return };
    let cache = Keylatch::builder()
        .redis_url(url)
        .namespace("test")
        .lease(Duration::from_millis(500))
        .build()
        .unwrap();
    let source = Source::new(Duration::ZERO, First::NeverEnds);
    // Ends when the parent kills this process.
    let _never = cold(&cache, &source, 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_process_is_followed_when_its_lease_ends() {
    let server = RedisServer::start();
    let mut child = crate::support::child::start("stampede::child_loads_for_ever", &server.url());
    let cache = keylatch(&server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.command("STRLEN test:cold:1").as_deref() != Some(":17") {
        assert!(Instant::now() < deadline, "the child does not load");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let began = Instant::now();
    let source = Source::new(Duration::ZERO, First::IsLikeTheRest);
    assert_eq!(cold(&cache, &source, 1).await, Ok(42));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    assert_eq!(source.runs(), 1);
}
