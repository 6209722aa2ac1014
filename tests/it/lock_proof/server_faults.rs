//! R10: scripts flushed, connections killed, locks evicted, each while many wait. Nobody hangs, nobody is in it with another,
//! and who has lost an evicted lock is told.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keylatch::{Keylatch, ReleaseError};

use super::recorder::{Recorder, Tally};
use crate::support::{Proxy, RedisServer, builder, keylatch, length, until};

const WAIT: Duration = Duration::from_secs(2);
/// A waiter is told that it has waited in vain, at the latest: its time, the command's time-out, and a busy machine.
const LATEST: Duration = Duration::from_secs(6);

/// Sixteen tasks of two processes' worth take a lock in turn while a fault is done again and again.
async fn under_load(what: &[&str]) -> Tally {
    let server = RedisServer::start();
    let recorder = Arc::new(Recorder::new());
    let instances = [0, 1].map(|_| builder(&server).build().expect("good settings"));
    let ends = Instant::now() + length::at_least(Duration::from_secs(3));
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_usize {
        let (cache, recorder) = (instances[task % 2].clone(), Arc::clone(&recorder));
        tasks.spawn(async move {
            let mut longest = Duration::ZERO;
            for round in 0.. {
                if Instant::now() >= ends {
                    break;
                }
                let lock = cache.lock("faults").ttl(Duration::from_secs(1)).wait(WAIT).fence();
                let began = Instant::now();
                recorder.visit(&format!("{task}-{round}"), lock, 1, Duration::from_millis(2)).await;
                longest = longest.max(began.elapsed());
            }
            longest
        });
    }
    while Instant::now() < ends {
        tokio::time::sleep(Duration::from_millis(300)).await;
        server.query(what).expect("the server answers");
    }
    let mut longest = Duration::ZERO;
    while let Some(ended) = tasks.join_next().await {
        longest = longest.max(ended.expect("no task panics"));
    }
    let (tally, verdict) = Arc::try_unwrap(recorder).expect("all tasks have ended").judge();
    eprintln!("{what:?}: {tally:?}, longest {longest:?}, {verdict:?}");
    assert_eq!(verdict, Ok(()));
    assert!(longest < LATEST, "somebody hung for {longest:?}");
    assert!(tally.had > 100, "{tally:?}");
    tally
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_that_are_flushed_are_loaded_again() {
    let tally = under_load(&["SCRIPT", "FLUSH"]).await;
    assert_eq!((tally.lost, tally.refused, tally.unknown), (0, 0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_connections_hang_nobody() {
    under_load(&["CLIENT", "KILL", "TYPE", "normal"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_subscriptions_hang_nobody() {
    under_load(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_evicted_lock_is_lost() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let ttl = Duration::from_secs(1);
    let guard = cache.lock("evicted").ttl(ttl).acquire().await.unwrap();
    server.query(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).unwrap();
    server.query(&["CONFIG", "SET", "maxmemory", "4mb"]).unwrap();
    let text = "x".repeat(1 << 14);
    let began = Instant::now();
    let mut filler = 0;
    let held =
        || server.query(&["EXISTS", "test#lock:evicted"]).is_ok_and(|answer| answer == redis::Value::Int(1));
    while held() {
        filler += 1;
        server.query(&["SET", &format!("filler-{filler}"), &text]).unwrap();
        assert!(began.elapsed() < Duration::from_secs(60), "it is not evicted");
    }
    let evicted = Instant::now();
    tokio::time::timeout(ttl, guard.lease().lost()).await.expect("the holder is told");
    let told = evicted.elapsed();
    eprintln!("evicted after {filler} entries, told after {told:?}");
    assert!(matches!(guard.release().await, Err(ReleaseError::NotHeld { .. })));
}

/// Hazard 5 on one master: the connection is lost while it carries what asks for a lock, which is asked for again and had, used
/// and given back; then the first request is carried out after all. It is nobody's lock, and is not left to its `ttl`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_is_carried_out_after_the_release_is_given_back_as_well() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let cache = Keylatch::builder().redis_url(proxy.url()).namespace("test").build().unwrap();
    let (ttl, exists) = (Duration::from_secs(30), || server.command("EXISTS test#lock:late"));
    cache.lock("warm").run(async |_lease| ()).await.unwrap();
    proxy.haunt(Some(Duration::from_millis(700)));
    let asked = cache.lock("late").ttl(ttl).wait(Duration::ZERO);
    let asked = tokio::spawn(asked.acquire());
    tokio::time::sleep(Duration::from_millis(100)).await;
    proxy.haunt(None);
    proxy.cut();
    let guard = asked.await.unwrap().expect("it is asked for again");
    guard.release().await.unwrap();
    assert_eq!(exists().as_deref(), Some(":0"));
    until("nothing came late", || exists().as_deref() == Some(":1")).await;
    let came = Instant::now();
    until("it is left to its end", || exists().as_deref() == Some(":0")).await;
    assert!(came.elapsed() < Duration::from_secs(4), "{:?}", came.elapsed());
}
