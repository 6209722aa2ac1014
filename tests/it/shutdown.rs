//! An orderly end: nothing new, what is under way ends, locks are given back, invalidations are sent, and the rest is told.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, Keylatch, cached};
use tokio::sync::watch;

use crate::support::{RedisServer, builder, keylatch, until};

/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(300);

struct Source {
    cache: Keylatch,
    runs: AtomicU32,
    /// Bodies that run now.
    inside: AtomicU32,
    /// A closed gate keeps bodies from ending.
    open: watch::Sender<bool>,
}

impl Source {
    fn on(cache: Keylatch, open: bool) -> Arc<Self> {
        let (runs, inside, open) = (AtomicU32::new(0), AtomicU32::new(0), watch::Sender::new(open));
        Arc::new(Self { cache, runs, inside, open })
    }
}

#[cached(key = "gated:{n}", ttl = "10m", skip(source), using = source.cache)]
async fn gated(source: &Source, n: u64) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    source.inside.fetch_add(1, Ordering::SeqCst);
    source.open.subscribe().wait_for(|open| *open).await.expect("the gate is there");
    source.inside.fetch_sub(1, Ordering::SeqCst);
    n * 2
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bodies_under_way_end_and_are_stored_and_nothing_new_begins() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server), false);
    let call = {
        let source = Arc::clone(&source);
        tokio::spawn(async move { gated(&source, 4).await })
    };
    until("the body runs", || source.inside.load(Ordering::SeqCst) == 1).await;
    let ending = {
        let cache = source.cache.clone();
        tokio::spawn(async move { cache.shutdown(Duration::from_secs(10)).await })
    };
    let refused = async || source.cache.lock("late").run(async |_lease| ()).await;
    let deadline = Instant::now() + Duration::from_secs(5);
    let refusal = loop {
        match refused().await {
            Err(error) => break error,
            Ok(()) => assert!(Instant::now() < deadline, "locks are refused"),
        }
    };
    assert!(refusal.to_string().contains("shut"), "{refusal}");
    source.open.send_replace(true);
    let left = ending.await.expect("no panic");
    assert!(left.is_empty(), "{left}");
    assert_eq!(call.await.expect("no panic"), 8);

    // What the body returned was stored; calls from now on run their bodies, and store nothing.
    let other = Source::on(keylatch(&server), true);
    assert_eq!((gated(&other, 4).await, other.runs.load(Ordering::SeqCst)), (8, 0));
    let keys = server.key_count();
    assert_eq!((gated(&source, 5).await, gated(&source, 5).await), (10, 10));
    assert_eq!(source.runs.load(Ordering::SeqCst), 3);
    assert_eq!(server.key_count(), keys);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_given_back_and_their_bodies_stop() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let held = {
        let cache = cache.clone();
        tokio::spawn(async move {
            let lock = cache.lock("job").ttl(Duration::from_secs(60));
            lock.run(async |_lease| std::future::pending::<()>().await).await
        })
    };
    let other = keylatch(&server);
    let is_free = async || other.lock("job").wait(Duration::ZERO).run(async |_lease| ()).await.is_ok();
    let deadline = Instant::now() + Duration::from_secs(5);
    while is_free().await {
        assert!(Instant::now() < deadline, "the lock is taken");
    }
    let left = cache.shutdown(Duration::from_millis(400)).await;
    assert!(left.is_empty(), "{left}");
    assert!(is_free().await, "the lock lives on for a minute");
    let ended = held.await.expect("no panic").expect_err("the body never ends");
    assert!(ended.body_ran(), "{ended}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_that_wait_are_sent() {
    let mut server = RedisServer::start();
    let source = Source::on(keylatch(&server), true);
    gated(&source, 1).await;
    server.query(&["CONFIG", "SET", "save", "3600 1"]).expect("it answers");
    server.query(&["SAVE"]).expect("it answers");
    server.kill();
    gated(&source, 1).invalidate().await.expect_err("the server is down");
    server.restart();
    let left = source.cache.shutdown(Duration::from_secs(5)).await;
    assert!(left.is_empty(), "{left}");
    let other = Source::on(keylatch(&server), true);
    gated(&other, 1).await;
    assert_eq!(other.runs.load(Ordering::SeqCst), 1, "the entry of before the outage is gone");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_could_not_be_done_in_time_is_told() {
    let server = RedisServer::start();
    let cache = builder(&server).command_timeout(Duration::from_secs(5)).build().expect("good settings");
    let source = Source::on(cache, false);
    let call = {
        let source = Arc::clone(&source);
        tokio::spawn(async move { gated(&source, 1).await })
    };
    let held = {
        let cache = source.cache.clone();
        tokio::spawn(async move {
            let lock = cache.lock("job").ttl(Duration::from_secs(60));
            lock.run(async |_lease| std::future::pending::<()>().await).await
        })
    };
    until("the body runs", || source.inside.load(Ordering::SeqCst) == 1).await;
    let other = keylatch(&server);
    let deadline = Instant::now() + Duration::from_secs(5);
    while other.lock("job").wait(Duration::ZERO).run(async |_lease| ()).await.is_ok() {
        assert!(Instant::now() < deadline, "the lock is taken");
    }
    server.signal("STOP");
    let invalidation = {
        let source = Arc::clone(&source);
        tokio::spawn(async move { gated(&source, 2).invalidate().await })
    };
    let limit = Duration::from_millis(600);
    let began = Instant::now();
    let left = source.cache.shutdown(limit).await;
    assert!(began.elapsed() < limit + SLACK, "{:?}", began.elapsed());
    assert_eq!((left.loads, left.locks.len()), (1, 1), "{left}");
    assert!(left.commands > 0, "{left}");
    assert!(!left.is_empty() && left.to_string().contains("1 loads, 1 locks"), "{left}");
    server.signal("CONT");
    source.open.send_replace(true);
    assert_eq!(call.await.expect("no panic"), 2);
    held.await.expect("no panic").expect_err("the body never ends");
    // Sent, refused or kept: it is told, and waits for nothing.
    let _told = invalidation.await.expect("no panic");
}
