//! Promise 2: the cache never changes the answer. Redis is killed, stopped, flushed, absent, full; calls answer, and hits
//! come back by themselves.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, ErrorKind, Keylatch, LockError, cached};
use tokio::task::JoinSet;

use crate::support::{RedisServer, builder, keylatch};

struct Source {
    cache: Keylatch,
    runs: AtomicU32,
    version: AtomicU64,
}

impl Source {
    fn on(cache: Keylatch) -> Arc<Self> {
        Arc::new(Self { cache, runs: AtomicU32::new(0), version: AtomicU64::new(1) })
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

#[cached(key = "double:{n}", ttl = "10m", skip(source), using = source.cache)]
async fn double(source: &Source, n: u64) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    n * 2
}

#[cached(key = "version", ttl = "10m", skip(source), using = source.cache)]
async fn version(source: &Source) -> u64 {
    source.version.load(Ordering::SeqCst)
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
    let until = async |count| {
        while answered.load(Ordering::SeqCst) < count {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    until(3_000).await;
    server.kill();
    until(6_000).await;
    server.restart();
    tokio::time::timeout(Duration::from_secs(30), callers.join_all()).await.expect("every call answers");
    assert_eq!(answered.load(Ordering::SeqCst), 10_000);
    hits_return(&source).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_for_three_seconds() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    hits_return(&source).await;
    server.signal("STOP");
    let stopped = Instant::now();
    let mut slowest = Duration::ZERO;
    while stopped.elapsed() < Duration::from_secs(3) {
        let began = Instant::now();
        assert_eq!(double(&source, 1).await, 2);
        slowest = slowest.max(began.elapsed());
    }
    server.signal("CONT");
    // The default time-out of a look-up is 500 ms, and nothing is asked twice.
    assert!(slowest >= Duration::from_millis(450) && slowest < Duration::from_millis(800), "{slowest:?}");
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
    let error = double(&source, 1).peek().await.unwrap_err();
    assert!(error.kind() == ErrorKind::Unavailable && error.is_retryable(), "{error}");
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
    // What the server takes when it goes on is given back.
    tokio::time::timeout(Duration::from_secs(5), cache.lock("lock").run(async |_lease| ()))
        .await
        .unwrap()
        .unwrap();
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
    let deadline = Instant::now() + Duration::from_secs(10);
    while version(&source).peek().await.ok().flatten().is_none() {
        assert_eq!(version(&source).await, 2, "the old entry is never seen again");
        assert!(Instant::now() < deadline, "the cache does not come back");
    }
    assert_eq!(version(&source).peek().await.unwrap(), Some(2));
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
