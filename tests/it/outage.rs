//! Promise 2: the cache never changes the answer. Redis is killed, stopped, flushed, absent, full; calls answer in time,
//! and hits come back by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, ErrorKind, Keylatch, LockError, cached};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::support::{Proxy, RedisServer, builder, keylatch, until};

/// The default time-out of a look-up, and what a busy machine may add.
const LOOK_UP: Duration = Duration::from_millis(500);
const SLACK: Duration = Duration::from_millis(300);

struct Source {
    cache: Keylatch,
    runs: AtomicU32,
    version: AtomicU64,
    /// Bodies that run now.
    inside: AtomicU32,
    /// Closed gates keep bodies from ending.
    open: watch::Sender<bool>,
}

impl Source {
    fn on(cache: Keylatch) -> Arc<Self> {
        let (runs, inside, open) = (AtomicU32::new(0), AtomicU32::new(0), watch::Sender::new(true));
        Arc::new(Self { cache, runs, version: AtomicU64::new(1), inside, open })
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

#[cached(key = "double:{n}", ttl = "10m", local = off, skip(source), using = source.cache)]
async fn double(source: &Source, n: u64) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    n * 2
}

#[cached(key = "version", ttl = "10m", local = off, skip(source), using = source.cache)]
async fn version(source: &Source) -> u64 {
    source.version.load(Ordering::SeqCst)
}

/// Ends when the gate is open; odd numbers fail.
#[cached(key = "gated:{n}", ttl = "10m", local = off, skip(source), using = source.cache)]
async fn gated(source: &Source, n: u64) -> Result<u64, &'static str> {
    source.inside.fetch_add(1, Ordering::SeqCst);
    source.open.subscribe().wait_for(|open| *open).await.expect("the gate is there");
    source.inside.fetch_sub(1, Ordering::SeqCst);
    if n.is_multiple_of(2) { Ok(n * 2) } else { Err("odd") }
}

/// Waits until calls are answered from entries again.
async fn hits_return(source: &Source) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        double(source, 1).await;
        let before = source.runs();
        double(source, 1).await;
        if source.runs() == before {
            return;
        }
        assert!(Instant::now() < deadline, "no hits any more");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted_in_the_middle_of_ten_thousand_calls() {
    let mut server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    let answered = Arc::new(AtomicU32::new(0));
    let mut callers = JoinSet::new();
    for caller in 0..20_u64 {
        let (source, answered) = (Arc::clone(&source), Arc::clone(&answered));
        callers.spawn(async move {
            for call in 0..500_u64 {
                let n = (caller * 500 + call) % 300;
                assert_eq!(double(&source, n).await, n * 2);
                answered.fetch_add(1, Ordering::SeqCst);
                // Spreads the calls over the outage.
                tokio::time::sleep(Duration::from_micros(500)).await;
            }
        });
    }
    until("calls answer before", || answered.load(Ordering::SeqCst) >= 3_000).await;
    let before = source.runs();
    server.kill();
    until("calls answer meanwhile", || answered.load(Ordering::SeqCst) >= 6_000).await;
    let meanwhile = source.runs();
    server.restart();
    tokio::time::timeout(Duration::from_secs(30), callers.join_all()).await.expect("every call answers");
    assert_eq!(answered.load(Ordering::SeqCst), 10_000);
    hits_return(&source).await;
    // Entries answered before. Meanwhile each of the 300 was computed once more, and kept in this process.
    assert!(before < 1_500, "{before} of 3,000 calls ran their bodies");
    let anew = meanwhile - before;
    assert!((200..1_000).contains(&anew), "{anew} of 3,000 calls ran their bodies");
}

/// Calls of every kind begin while the server does not answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_for_three_seconds() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    hits_return(&source).await;
    server.signal("STOP");
    let stopped = Instant::now();
    let mut callers = JoinSet::new();
    for n in 0..12 {
        let source = Arc::clone(&source);
        callers.spawn(async move {
            let mut slowest = Duration::ZERO;
            while stopped.elapsed() < Duration::from_secs(3) {
                let began = Instant::now();
                match n % 4 {
                    // Its entry is there, or not; errors; and loads anew.
                    0 => assert_eq!(double(&source, 1).await, 2),
                    1 => assert_eq!(double(&source, 100 + n).await, 200 + n * 2),
                    2 => assert_eq!(gated(&source, 1).await, Err("odd")),
                    _ => assert_eq!(double(&source, 1).refresh().await, 2),
                }
                slowest = slowest.max(began.elapsed());
                // Answers from memory never wait, and would keep the others from their turn.
                tokio::task::yield_now().await;
            }
            slowest
        });
    }
    let slowest = callers.join_all().await.into_iter().max().unwrap();
    server.signal("CONT");
    assert!(slowest >= LOOK_UP * 9 / 10, "the server answered: {slowest:?}");
    assert!(slowest < LOOK_UP + SLACK, "nothing is asked twice: {slowest:?}");
    hits_return(&source).await;
}

/// Their look-ups are answered, and then the server stops: what is left is to store the result, or to give the lease back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_that_end_while_the_server_is_stopped_answer_in_time() {
    let server = RedisServer::start();
    let source = Source::on(builder(&server).command_timeout(Duration::from_secs(5)).build().unwrap());
    assert_eq!(gated(&source, 4).await, Ok(8));
    source.open.send_replace(false);
    let mut callers = JoinSet::new();
    for (n, refresh) in [(1, false), (2, false), (3, false), (4, true)] {
        let source = Arc::clone(&source);
        callers.spawn(async move {
            let call = gated(&source, n);
            let answer = if refresh { call.refresh().await } else { call.await };
            (answer, n, Instant::now())
        });
    }
    until("the bodies run", || source.inside.load(Ordering::SeqCst) == 4).await;
    server.signal("STOP");
    let opened = Instant::now();
    source.open.send_replace(true);
    // Long before the limit of a command, and before the server goes on.
    let answers = tokio::time::timeout(Duration::from_secs(3), callers.join_all()).await;
    server.signal("CONT");
    for (answer, n, at) in answers.expect("every call answers while the server is stopped") {
        assert_eq!(answer.ok(), n.is_multiple_of(2).then_some(n * 2));
        assert!(at - opened < LOOK_UP + SLACK, "{n}: {:?}", at - opened);
    }
    hits_return(&source).await;
}

#[cached(key = "hasty", ttl = "10m", local = off, timeout = "50ms", skip(source), using = source.cache)]
async fn hasty(source: &Source) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    1
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_may_have_a_time_out_of_its_own() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    hits_return(&source).await;
    server.signal("STOP");
    let began = Instant::now();
    assert_eq!(hasty(&source).await, 1);
    let waited = began.elapsed();
    server.signal("CONT");
    assert!(waited >= Duration::from_millis(50) && waited < LOOK_UP / 2, "{waited:?}");
}

/// A connection over which nothing comes any more, but which nobody closes: the host is gone, or a firewall forgot it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_silent_connection_is_replaced() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let builder = Keylatch::builder().redis_url(proxy.url()).namespace("test");
    let source = Source::on(builder.command_timeout(Duration::from_secs(1)).build().unwrap());
    hits_return(&source).await;
    proxy.silence();
    let before = source.runs();
    let began = Instant::now();
    assert_eq!(double(&source, 1).await, 2);
    assert_eq!(source.runs(), before + 1, "the connection is not silent");
    assert!(began.elapsed() < LOOK_UP + SLACK, "{:?}", began.elapsed());
    hits_return(&source).await;
}

/// A service's tests share one global instance, and each has a runtime of its own, which may end in the middle of anything.
#[test]
fn a_runtime_that_ends_takes_nothing_with_it() {
    let mut server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    let runtime = || tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let cut_off = |turns: usize| {
        runtime().block_on(async {
            for n in 0..10 {
                let source = Arc::clone(&source);
                tokio::spawn(async move { double(&source, n).await });
            }
            for _ in 0..turns {
                tokio::task::yield_now().await;
            }
        });
    };
    for turns in 0..60 {
        cut_off(turns);
    }
    runtime().block_on(hits_return(&source));
    server.kill();
    (0..20).for_each(cut_off);
    server.restart();
    runtime().block_on(hits_return(&source));
}

#[cached(key = "stops", ttl = "10m", local = off, skip_all, using = source.cache)]
async fn stops_the_server(source: &Source, server: &RedisServer) -> u64 {
    server.signal("STOP");
    7
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_in_the_middle_of_a_load() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    hits_return(&source).await;
    let began = Instant::now();
    assert_eq!(stops_the_server(&source, &server).await, 7);
    let waited = began.elapsed();
    server.signal("CONT");
    assert!(waited < Duration::from_millis(800), "the answer was there, and the server kept it: {waited:?}");
    hits_return(&source).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn absent_at_the_start() {
    let mut server = RedisServer::start();
    server.kill();
    let source = Source::on(keylatch(&server));
    let began = Instant::now();
    for n in 0..1_000 {
        assert_eq!(double(&source, n).await, n * 2);
    }
    assert!(
        began.elapsed() < Duration::from_secs(2),
        "a refused connection costs nothing: {:?}",
        began.elapsed()
    );
    let refused = source.cache.lock("lock").acquire().await.unwrap_err();
    assert!(matches!(refused, LockError::Unknown { .. }) && !refused.body_ran(), "{refused}");
    let error = source.cache.invalidate("unrelated").await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable(), "{error}");
    assert_eq!(double(&source, 1).peek().await.unwrap(), Some(2), "what was computed meanwhile is kept");
    server.restart();
    hits_return(&source).await;
    tokio::time::timeout(Duration::from_secs(5), async {
        while source.cache.lock("lock").run(async |_lease| ()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("locks come back, too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_on_a_stopped_server_is_refused() {
    let server = RedisServer::start();
    let cache = builder(&server).command_timeout(Duration::from_millis(300)).build().unwrap();
    cache.lock("lock").run(async |_lease| ()).await.unwrap();
    server.signal("STOP");
    let began = Instant::now();
    let refused = cache.lock("lock").run(async |_lease| panic!("without proof the body does not run")).await;
    server.signal("CONT");
    assert!(matches!(refused, Err(LockError::Unknown { .. })));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // What the server takes when it goes on is given back, and locks are granted again once it has answered a probe.
    tokio::time::timeout(Duration::from_secs(5), async {
        while cache.lock("lock").run(async |_lease| ()).await.is_err() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await
    .expect("locks come back");
}

/// The cache holds version 1, the source version 2, and the invalidation between them has failed. From now on version 1
/// must never be seen, and version 2 must be cached again.
async fn only_the_new_version_is_seen(source: &Source) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        assert_eq!(version(source).await, 2, "the old entry is never seen again");
        if let Ok(Some(cached)) = version(source).peek().await {
            assert_eq!(cached, 2);
            return;
        }
        assert!(Instant::now() < deadline, "the cache does not come back");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_that_failed_comes_before_the_next_read() {
    let server = RedisServer::start();
    let cache = builder(&server).command_timeout(Duration::from_millis(200)).build().unwrap();
    let source = Source::on(cache);
    assert_eq!(version(&source).await, 1);
    assert_eq!(version(&source).peek().await.unwrap(), Some(1));
    // The connection is cut and the server does not answer: the command cannot have been queued for later.
    server.command("CLIENT KILL TYPE normal SKIPME yes").expect("the server answers");
    server.signal("STOP");
    source.version.store(2, Ordering::SeqCst);
    let error = version(&source).invalidate().await.unwrap_err();
    assert!(error.is_retryable(), "{error}");
    assert_eq!(version(&source).await, 2, "while it is down, the body answers");
    server.signal("CONT");
    only_the_new_version_is_seen(&source).await;
}

/// The server comes back with the entries of its snapshot, the old one among them.
async fn restarted_from_a_snapshot(acknowledged: bool) {
    let mut server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    assert_eq!(version(&source).await, 1);
    assert_eq!(version(&source).peek().await.unwrap(), Some(1));
    assert_eq!(server.command("SAVE").as_deref(), Some("+OK"));
    if !acknowledged {
        server.kill();
    }
    source.version.store(2, Ordering::SeqCst);
    let invalidated = version(&source).invalidate().await;
    assert_eq!(invalidated.is_ok(), acknowledged, "{invalidated:?}");
    if acknowledged {
        server.kill();
    }
    server.restart();
    assert_eq!(server.command("EXISTS test:version").as_deref(), Some(":1"), "the snapshot was not loaded");
    only_the_new_version_is_seen(&source).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_invalidation_that_failed_outlives_a_restart_of_the_server() {
    restarted_from_a_snapshot(false).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acknowledged_invalidation_outlives_a_restart_of_the_server() {
    restarted_from_a_snapshot(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn flushed_and_cut_between_calls() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    for fault in ["FLUSHALL", "SCRIPT FLUSH", "CLIENT KILL TYPE normal SKIPME yes"] {
        hits_return(&source).await;
        let answer = server.command(fault).expect("the server answers");
        assert!(!answer.starts_with('-'), "{fault}: {answer}");
        for n in 0..20 {
            assert_eq!(double(&source, n).await, n * 2, "{fault}");
        }
        hits_return(&source).await;
        source.cache.clear().await.unwrap();
        source.cache.lock("lock").run(async |_lease| ()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_server_loses_entries_not_answers() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    hits_return(&source).await;
    server.command("CONFIG SET maxmemory 1").expect("the server answers");
    for n in 100..200 {
        assert_eq!(double(&source, n).await, n * 2);
    }
    assert_eq!(double(&source, 1).await, 2, "what is there can still be read");
    let refused = source.cache.lock("lock").acquire().await.unwrap_err();
    assert!(matches!(refused, LockError::Unknown { .. }), "{refused}");
    server.command("CONFIG SET maxmemory 0").expect("the server answers");
    hits_return(&source).await;
}
