//! Events: at the right levels, with keys and reasons, and never a value or a password.

use std::fmt::{self, Write};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use keylatch::{CachedCall, Key, Keylatch, cached};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use crate::support::{RedisServer, keylatch};

/// Collects what is traced, as `LEVEL text`.
#[derive(Clone, Default)]
struct Collected(Arc<Mutex<Vec<String>>>);

impl Collected {
    fn all(&self) -> String {
        self.0.lock().unwrap().join("\n")
    }

    fn at(&self, level: Level, text: &str) -> bool {
        let start = format!("{level} ");
        self.0.lock().unwrap().iter().any(|line| line.starts_with(&start) && line.contains(text))
    }

    fn push(&self, metadata: &Metadata<'_>, record: impl FnOnce(&mut Text)) {
        if metadata.target().starts_with("keylatch") {
            let mut text = Text(format!("{} {}", metadata.level(), metadata.name()));
            record(&mut text);
            self.0.lock().unwrap().push(text.0);
        }
    }
}

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write!(self.0, " {field}={value:?}").unwrap();
    }
}

impl Subscriber for Collected {
    fn enabled(&self, _metadata: &Metadata<'_>) -> bool {
        true
    }
    fn new_span(&self, span: &Attributes<'_>) -> Id {
        self.push(span.metadata(), |text| span.record(text));
        Id::from_u64(1)
    }
    fn record(&self, _span: &Id, _values: &Record<'_>) {}
    fn record_follows_from(&self, _span: &Id, _follows: &Id) {}
    fn event(&self, event: &Event<'_>) {
        self.push(event.metadata(), |text| event.record(text));
    }
    fn enter(&self, _span: &Id) {}
    fn exit(&self, _span: &Id) {}
}

const SECRET: &str = "s3cret-value";

#[cached(key = "traced:{id}", ttl = "1m", skip(keylatch), using = keylatch)]
async fn traced(keylatch: &Keylatch, id: u64) -> String {
    format!("{SECRET} {id}")
}

#[tokio::test]
async fn what_happens_is_traced_and_values_are_not() {
    let server = RedisServer::start();
    let collected = Collected::default();
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
    let collected = Collected::default();
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
    let collected = Collected::default();
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
    server.restart();
    while !collected.at(Level::INFO, "is asked again") {
        tokio::time::sleep(Duration::from_millis(5)).await;
        assert!(std::time::Instant::now() < deadline, "{}", collected.all());
    }
}

#[tokio::test]
async fn a_server_that_may_evict_locks_is_told_of_once_behind_the_first_lock() {
    let collected = Collected::default();
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

/// `REDIS_MAX_MEMORY`: the server is asked to keep to it. One that may not be asked serves as it is, and somebody is told.
#[tokio::test]
async fn a_limit_of_memory_is_asked_for_and_a_refusal_is_told() {
    let collected = Collected::default();
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
