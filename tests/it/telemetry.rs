//! Events: at the right levels, with keys and reasons, and never a value or a password.

mod collected;
mod configured;
mod locks;
mod rest;
mod untold;

use std::time::Duration;

use keylatch::{AfterFailover, CachedCall, Key, Keylatch, cached};
use tracing::Level;

use crate::support::{RedisServer, keylatch};
use collected::Collected;

const SECRET: &str = "s3cret-value";

#[cached(key = "traced:{id}", ttl = "1m", skip(keylatch), using = keylatch)]
async fn traced(keylatch: &Keylatch, id: u64) -> String {
    format!("{SECRET} {id}")
}

#[tokio::test]
async fn what_happens_is_traced_and_values_are_not() {
    let server = RedisServer::start();
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());

    let on_redis = keylatch(&server);
    traced(&on_redis, 1).await;
    traced(&on_redis, 1).await;
    traced(&on_redis, 1).invalidate().await.unwrap();
    assert!(collected.at(Level::INFO, "connected"), "{}", collected.all());
    assert!(collected.at(Level::DEBUG, "keylatch.load"), "{}", collected.all());
    assert!(collected.at(Level::DEBUG, "loaded and stored"), "{}", collected.all());
    assert!(collected.at(Level::TRACE, "hit"), "{}", collected.all());
    assert!(collected.at(Level::DEBUG, "invalidated"), "{}", collected.all());

    // Bytes of somebody else, in the place of an envelope that looks like ours.
    server.command("SET test:traced:1 V-not-an-envelope").unwrap();
    traced(&on_redis, 1).await;
    assert!(collected.at(Level::WARN, "cannot be read"), "{}", collected.all());

    assert!(!collected.all().contains(SECRET), "{}", collected.all());
}

#[tokio::test]
async fn failures_are_traced_without_the_password() {
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    // Nobody listens on port 1.
    let nowhere = Keylatch::builder()
        .redis_url(format!("redis://:{SECRET}@127.0.0.1:1"))
        .namespace("test")
        .build()
        .unwrap();
    traced(&nowhere, 1).await;
    let error = nowhere.lock(Key::of("lock")).wait(Duration::ZERO).acquire().await.unwrap_err();
    assert!(matches!(error, keylatch::LockError::Unknown { .. }), "{error}");
    assert!(collected.at(Level::WARN, "cannot connect"), "{}", collected.all());
    assert!(collected.at(Level::WARN, "answers from its body"), "{}", collected.all());
    let everything = format!("{} {error} {error:?} {nowhere:?}", collected.all());
    assert!(!everything.contains(SECRET), "{everything}");
}

#[tokio::test]
async fn a_breaker_tells_when_it_opens_and_closes() {
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    let mut server = RedisServer::start();
    let cache = keylatch(&server);
    traced(&cache, 1).await;
    server.kill();
    let deadline = std::time::Instant::now() + Duration::from_secs(5);
    while !collected.at(Level::WARN, "not asked any more") {
        traced(&cache, 2).await;
        assert!(std::time::Instant::now() < deadline, "{}", collected.all());
    }
    while !collected.at(Level::DEBUG, "the probe was not answered") {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(std::time::Instant::now() < deadline, "{}", collected.all());
    }
    assert!(collected.at(Level::DEBUG, "the server is probed"), "{}", collected.all());
    server.restart();
    while !collected.at(Level::INFO, "is asked again") {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(std::time::Instant::now() < deadline, "{}", collected.all());
    }
}

#[tokio::test]
async fn a_server_that_may_evict_locks_is_told_of_once_behind_the_first_lock() {
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    let told = || collected.all().matches("may evict locks").count();
    let server = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru"]);
    let safe = RedisServer::start_with(&["--maxmemory", "100mb", "--maxmemory-policy", "noeviction"]);
    let lock = async |cache: &Keylatch| {
        cache.lock(Key::of("lock")).run(async |_lease| ()).await.unwrap();
    };
    let unlimited = RedisServer::start();
    for harmless in [&safe, &unlimited] {
        let cache = keylatch(harmless);
        lock(&cache).await;
        // What is asked behind the lock has been answered when another such question has.
        cache.health().await;
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(told(), 0, "{}", collected.all());
    let cache = keylatch(&server);
    traced(&cache, 1).await;
    assert_eq!(told(), 0, "a cache is meant to be evicted");
    lock(&cache).await;
    crate::support::until("nobody is told", || told() == 1).await;
    lock(&cache).await;
    cache.health().await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert_eq!(told(), 1);
    assert!(collected.at(Level::WARN, "may evict locks"), "{}", collected.all());
}

/// Who may not ask a server which one it is, is told what that means, once, and that nothing is stored where it matters.
#[tokio::test]
async fn a_server_that_hides_its_run_id_is_told_of() {
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    let told = |text: &str| collected.lines(Level::WARN, text).len();
    let server = RedisServer::start();
    traced(&keylatch(&server), 1).await;
    assert_eq!(told("run id"), 0, "{}", collected.all());
    server.query(&["ACL", "SETUSER", "default", "-info"]).expect("it answers");
    let single = || crate::support::builder(&server).pool_size(1);
    let replays = single().build().expect("good settings");
    assert_eq!(traced(&replays, 1).await, format!("{SECRET} 1"));
    assert_eq!((told("run id"), told("repeated whenever")), (1, 1), "{}", collected.all());
    let distrusts = single().after_failover(AfterFailover::Distrust).build().expect("good settings");
    assert_eq!(traced(&distrusts, 2).await, format!("{SECRET} 2"));
    assert_eq!((told("run id"), told("nothing is stored")), (2, 1), "{}", collected.all());
}

/// `REDIS_MAX_MEMORY`: the server is asked to keep to it. One that may not be asked serves as it is, and somebody is told.
#[tokio::test]
async fn a_limit_of_memory_is_asked_for_and_a_refusal_is_told() {
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    let server = RedisServer::start();
    let limited = || crate::support::builder(&server).max_memory(48 << 20).build().expect("good settings");
    assert_eq!(traced(&limited(), 1).await, format!("{SECRET} 1"));
    assert_eq!(server.info("maxmemory"), Some((48 << 20).to_string()));
    assert!(!collected.at(Level::WARN, "limit its memory"), "{}", collected.all());

    server.query(&["ACL", "SETUSER", "default", "-config"]).expect("it answers");
    assert_eq!(traced(&limited(), 1).await, format!("{SECRET} 1"));
    assert!(collected.at(Level::WARN, "limit its memory"), "{}", collected.all());
}
