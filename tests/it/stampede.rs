//! One load per key: in a process, over processes, and when the leader fails.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use keylatch::{CachedCall, Key, Keylatch, cached};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;

use crate::local::from_memory;
use crate::support::cluster::Cluster;
use crate::support::{RedisServer, builder, child, keylatch, signal, until};

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
    /// Callers that have called, and how many have to before any body ends: otherwise the late ones would find an entry.
    called: watch::Sender<usize>,
    awaited: usize,
}

impl Source {
    fn new(load: Duration, first: First) -> Arc<Self> {
        Self::awaiting(0, load, first)
    }

    fn awaiting(awaited: usize, load: Duration, first: First) -> Arc<Self> {
        Arc::new(Self { runs: AtomicU32::new(0), load, first, called: watch::Sender::new(0), awaited })
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }

    async fn load(&self) -> Result<u32, &'static str> {
        let run = self.runs.fetch_add(1, Ordering::SeqCst) + 1;
        let all = |called: &usize| *called >= self.awaited;
        self.called.subscribe().wait_for(all).await.map(drop).expect("the source lives");
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
            source.called.send_modify(|called| *called += 1);
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
    let source = Source::awaiting(count, Duration::from_millis(50), First::IsLikeTheRest);
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

/// The stamps lie on another node than the slot, so a caller may see a lease and, from before it, no stamps. Servers before
/// 7.0 show the same alone, in every other run: they make the stamps after the lease.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_over_a_cluster_load_once() {
    let cluster = Cluster::start(3, false).await;
    for round in 0..5 {
        // A namespace that has no stamps yet.
        let cache = Keylatch::builder().cluster(cluster.addresses()).namespace(format!("cold{round}"));
        one_run(300, vec![cache.build().expect("good settings")]).await;
    }
}

/// What a cold key costs the server, however many call at once: a read, a claim with the stamps before it, one more read for
/// all the others, and a fill. On one thread, so that they do call at once.
#[tokio::test]
async fn a_thousand_callers_send_eight_commands_at_most() {
    let server = RedisServer::start();
    // One connection, for others would be dialled meanwhile.
    let cache = builder(&server).pool_size(1).build().expect("good settings");
    // Connects, and makes the scripts known.
    let other = Source::new(Duration::ZERO, First::IsLikeTheRest);
    assert_eq!(cold(&cache, &other, 2).await, Ok(42));
    server.forget_calls();
    one_run(1_000, vec![cache]).await;
    let calls = server.all_calls();
    // What asks for the counts, which introduces itself, whether a connection is alive, and what scripts do within themselves.
    let beside = ["config|resetstat", "config", "client|setinfo", "info", "ping", "getrange"];
    let sent: u64 =
        calls.iter().filter(|(name, _)| !beside.contains(&name.as_str())).map(|(_, calls)| calls).sum();
    // Servers before 7.0 count those two commands of an introduction as `CLIENT`, which they are not asked for otherwise.
    let sent = sent - if calls.contains_key("client") { 2 } else { 0 };
    eprintln!("a thousand callers: {sent} commands: {calls:?}");
    assert!(sent <= 8, "{calls:?}");
}

/// Those who call while the key is being loaded look together: now and then, however many more come.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_call_during_a_load_cost_few_reads() {
    const CALLERS: usize = 60;
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let other = Source::new(Duration::ZERO, First::IsLikeTheRest);
    assert_eq!(cold(&cache, &other, 2).await, Ok(42));
    server.forget_calls();
    let source = Source::awaiting(CALLERS, Duration::ZERO, First::IsLikeTheRest);
    let (began, mut all) = (Instant::now(), JoinSet::new());
    for _ in 0..CALLERS {
        let (cache, source) = (cache.clone(), Arc::clone(&source));
        all.spawn(async move {
            source.called.send_modify(|called| *called += 1);
            cold(&cache, &source, 1).await
        });
        // Time for a look of his own.
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let answers =
        tokio::time::timeout(Duration::from_secs(20), all.join_all()).await.expect("somebody hangs");
    assert!(answers.iter().all(|answer| *answer == Ok(42)));
    assert_eq!(source.runs(), 1);
    let reads = server.calls("get") + server.calls("mget");
    // The first caller's, those that wait for 5 and 10 ms, and then one in 20 ms.
    let most = 4 + began.elapsed().as_millis() / 20;
    eprintln!("{CALLERS} callers during a load: {reads} reads of {most}");
    assert!(u128::from(reads) <= most, "{reads} reads, {most} at most");
}

/// A load that was overtaken goes on for as long as its body does. Nobody waits for it, and what came in its place is kept in memory.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_overtaken_load_holds_up_nobody() {
    let server = RedisServer::start();
    let (here, there) = (keylatch(&server), keylatch(&server));
    let endless = Source::new(Duration::ZERO, First::NeverEnds);
    let load = tokio::spawn({
        let (cache, source) = (here.clone(), Arc::clone(&endless));
        async move { cold(&cache, &source, 1).await }
    });
    until("the body runs", || endless.runs() == 1).await;
    there.invalidate("cold:1").await.expect("the server is up");
    let quick = Source::new(Duration::ZERO, First::IsLikeTheRest);
    assert_eq!(cold(&there, &quick, 1).await, Ok(42));
    let (began, before) = (Instant::now(), from_memory("stampede::cold"));
    while from_memory("stampede::cold") < before + 10 {
        assert!(began.elapsed() < Duration::from_secs(1), "it is not kept");
        assert_eq!(cold(&here, &quick, 1).await, Ok(42));
    }
    assert_eq!((endless.runs(), quick.runs()), (1, 1));
    load.abort();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn callers_of_three_instances_load_once() {
    let server = RedisServer::start();
    one_run(900, vec![keylatch(&server), keylatch(&server), keylatch(&server)]).await;
}

/// The mutant: callers that do not share their loads are counted as such, so that one run means that they did.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_that_are_not_shared_are_counted() {
    let source = Source::new(Duration::from_millis(1), First::IsLikeTheRest);
    let cache = Keylatch::in_memory();
    let calls = (0..20).map(|_| cold(&cache, &source, 1).bypass());
    assert!(futures_util::future::join_all(calls).await.iter().all(Result::is_ok));
    assert_eq!(source.runs(), 20);
}

/// How a leader goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leader {
    /// Its task is aborted in the body.
    Aborted,
    /// Its future is dropped in the body, and its task goes on.
    Dropped,
    Panics,
}

/// A caller leads and is gone; who waits takes over, with one more run in all.
async fn the_next_takes_over(instances: &[Keylatch], way: Leader) {
    let first = if way == Leader::Panics { First::Panics } else { First::NeverEnds };
    let source = Source::new(Duration::from_millis(20), first);
    let (cache, leading) = (instances[0].clone(), Arc::clone(&source));
    let (drop_it, mut dropped) = oneshot::channel::<()>();
    let leader = tokio::spawn(async move {
        tokio::select! {
            answer = cold(&cache, &leading, 1) => answer.map_err(drop),
            _told = &mut dropped => Err(()),
        }
    });
    while source.runs() == 0 {
        tokio::task::yield_now().await;
    }
    let others = callers(300, instances, &source);
    let everybody = async { source.called.subscribe().wait_for(|called| *called >= 300).await.map(drop) };
    tokio::time::timeout(Duration::from_secs(10), everybody)
        .await
        .expect("all call")
        .expect("the source lives");
    if way != Leader::Panics {
        assert_eq!(source.runs(), 1, "{way:?}: while it is led, nobody else loads");
    }
    match way {
        Leader::Aborted => leader.abort(),
        Leader::Dropped => drop_it.send(()).expect("the leader waits"),
        Leader::Panics => {}
    }
    let answers = all(others).await;
    assert_eq!(answers.len(), 300);
    assert!(answers.iter().all(|answer| *answer == Some(Ok(42))), "{way:?}");
    assert_eq!(source.runs(), 2, "{way:?}");
    match (way, leader.await) {
        (Leader::Aborted, Err(error)) => assert!(error.is_cancelled()),
        (Leader::Panics, Err(error)) => assert!(error.is_panic()),
        (Leader::Dropped, Ok(Err(()))) => {}
        (_, led) => panic!("{way:?}: {led:?}"),
    }
    for cache in instances {
        cold(cache, &source, 1).invalidate().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dropped_or_panicking_leader_is_followed_by_one() {
    let server = RedisServer::start();
    for way in [Leader::Aborted, Leader::Dropped, Leader::Panics] {
        the_next_takes_over(&[Keylatch::in_memory()], way).await;
        the_next_takes_over(&[keylatch(&server)], way).await;
        the_next_takes_over(&[keylatch(&server), keylatch(&server), keylatch(&server)], way).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_leader_holds_nobody_up() {
    let server = RedisServer::start();
    for instances in [vec![Keylatch::in_memory()], vec![keylatch(&server), keylatch(&server)]] {
        let source = Source::awaiting(100, Duration::from_millis(20), First::Fails);
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
    let source = Source::awaiting(40, Duration::from_millis(1_200), First::IsLikeTheRest);
    let answers = all(callers(40, &[instance(), instance()], &source)).await;
    assert!(answers.iter().all(|answer| *answer == Some(Ok(42))));
    assert_eq!(source.runs(), 1);
}

/// The body of a process that is killed while it loads.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_loads_for_ever() {
    let Some(url) = child::argument("child_loads_for_ever") else { return };
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
    let mut child = child::start("stampede::child_loads_for_ever", &server.url());
    let cache = keylatch(&server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.command("STRLEN test:cold:1").as_deref() != Some(":17") {
        assert!(Instant::now() < deadline, "the child does not load");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let began = Instant::now();
    let source = Source::awaiting(50, Duration::ZERO, First::IsLikeTheRest);
    let answers = all(callers(50, &[cache], &source)).await;
    let waited = began.elapsed();
    assert!(answers.iter().all(|answer| *answer == Some(Ok(42))));
    // The lease of the dead was renewed a third of its life ago at most, if it was renewed in time.
    assert!(waited > Duration::from_millis(100), "nobody waited for the lease: {waited:?}");
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    assert_eq!(source.runs(), 1);
}

/// Reads an old value, and returns it when it is told to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_loads_late() {
    let Some(argument) = child::argument("child_loads_late") else { return };
    let (url, go) = argument.split_once(' ').unwrap();
    let cache = Keylatch::builder()
        .redis_url(url)
        .namespace("test")
        .lease(Duration::from_millis(300))
        .build()
        .unwrap();
    let late = cache.entry(Key::of("late")).get_or_load(async || {
        let deadline = Instant::now() + Duration::from_secs(20);
        while !std::path::Path::new(go).exists() {
            assert!(Instant::now() < deadline, "nobody lets this child go on");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        1_u32
    });
    assert_eq!(late.await, 1, "its own caller gets its own value");
}

/// A leader whose process is stopped beyond its lease goes on when somebody else has loaded anew: its value is refused.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_process_does_not_store_over_its_follower() {
    let server = RedisServer::start();
    let directory = tempfile::tempdir().unwrap();
    let go = directory.path().join("go");
    let mut child = child::start("stampede::child_loads_late", &format!("{} {}", server.url(), go.display()));
    let cache = keylatch(&server);
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.command("STRLEN test:late").as_deref() != Some(":17") {
        assert!(Instant::now() < deadline, "the child does not load");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    signal(child.id(), "STOP");
    std::fs::write(&go, "").unwrap();
    assert_eq!(cache.entry(Key::of("late")).get_or_load(async || 2_u32).await, 2);
    signal(child.id(), "CONT");
    assert!(child.wait().unwrap().success(), "the child's own check failed");
    assert_eq!(cache.entry(Key::of("late")).get::<u32>().await.unwrap(), Some(2));
}
