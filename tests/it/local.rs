//! Values in the memory of an instance: what it answers from there, and when it may not.

mod watched_again;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use keylatch::{CachedCall, Key, Keylatch, cached};

use crate::support::proxy::Proxy;
use crate::support::{RedisServer, builder};

struct Source {
    keylatch: Keylatch,
    version: AtomicU64,
    loads: AtomicU64,
}

impl Source {
    fn new(keylatch: Keylatch) -> Self {
        Self { keylatch, version: AtomicU64::new(1), loads: AtomicU64::new(0) }
    }

    fn load(&self) -> u64 {
        self.loads.fetch_add(1, Ordering::SeqCst);
        self.version.load(Ordering::SeqCst)
    }
}

#[cached(key = "value:one", ttl = "10m", tags = ["tag"], skip_all, using = source.keylatch)]
async fn value(source: &Source) -> u64 {
    source.load()
}

#[cached(key = "strict", ttl = "10m", tags = ["tag"], local = off, skip_all, using = source.keylatch)]
async fn strict(source: &Source) -> u64 {
    source.load()
}

#[cached(key = "short", ttl = "10m", tags = ["tag"], local = "300ms", skip_all, using = source.keylatch)]
async fn short(source: &Source) -> u64 {
    source.load()
}

/// Not to be cloned.
#[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
struct Unique(u64);

#[cached(key = "unique", ttl = "10m", skip_all, using = source.keylatch)]
async fn unique(source: &Source) -> Unique {
    Unique(source.load())
}

/// So many calls were answered from memory since the process began, which is this test's own.
pub(crate) fn from_memory(function: &str) -> u64 {
    let stats = keylatch::stats();
    stats.iter().find(|stats| stats.name.ends_with(function)).map_or(0, |stats| stats.local_hits)
}

/// Asks until an answer comes from memory.
async fn until_in_memory(source: &Source) {
    let began = std::time::Instant::now();
    let before = from_memory("local::value");
    while from_memory("local::value") == before {
        assert!(began.elapsed() < Duration::from_secs(1), "it is not kept");
        value(source).await;
    }
}

#[derive(Debug, Clone, Copy)]
enum By {
    Key,
    Tag,
}

/// An answer that is kept later than it came, with an invalidation by another instance in between.
async fn kept_late(by: By, reserve: bool) -> u64 {
    let server = RedisServer::start();
    let late = builder(&server).with_late_keeping(Duration::from_millis(100));
    let late = if reserve { late } else { late.without_reservations() };
    let here = Source::new(late.build().expect("good settings"));
    let there = builder(&server).build().expect("good settings");
    assert_eq!(value(&here).await, 1);
    let reader = async { value(&here).await };
    let writer = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        here.version.store(2, Ordering::SeqCst);
        match by {
            By::Key => there.invalidate("value:one").await,
            By::Tag => there.invalidate_tag(Key::of("tag")).await,
        }
        .expect("the server is up");
    };
    let (read, ()) = tokio::join!(reader, writer);
    assert_eq!(read, 1, "it was read before the change");
    value(&here).await
}

#[tokio::test]
async fn an_answer_that_came_before_a_change_is_not_kept_after_it() {
    for by in [By::Key, By::Tag] {
        assert_eq!(kept_late(by, true).await, 2, "{by:?}");
        assert_eq!(kept_late(by, false).await, 1, "{by:?}: the test does not bite");
    }
}

#[tokio::test]
async fn what_is_in_memory_is_answered_without_the_server() {
    let server = RedisServer::start();
    let source = Source::new(builder(&server).build().expect("good settings"));
    value(&source).await;
    value(&source).await;
    let before = server.commands();
    for _ in 0..1_000 {
        assert_eq!(value(&source).await, 1);
    }
    // Watching over an idle connection, and asking for this figure.
    assert!(server.commands() - before < 20, "the server was asked");
    assert_eq!(from_memory("local::value"), 1_000);
    assert_eq!(source.loads.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn with_local_off_and_for_what_cannot_be_cloned_the_server_is_asked() {
    let server = RedisServer::start();
    let source = Source::new(builder(&server).build().expect("good settings"));
    for _ in 0..5 {
        strict(&source).await;
        assert_eq!(unique(&source).await, Unique(1));
    }
    assert_eq!((from_memory("local::strict"), from_memory("local::unique")), (0, 0));
    assert_eq!(source.loads.load(Ordering::SeqCst), 2);
}

/// Stamps are at hand: a hit reads one key.
#[tokio::test]
async fn a_hit_reads_one_key() {
    let server = RedisServer::start();
    let source = Source::new(builder(&server).build().expect("good settings"));
    strict(&source).await;
    strict(&source).await;
    let count = |command: &str| server.calls(command);
    let (gets, mgets) = (count("get"), count("mget"));
    for _ in 0..10 {
        strict(&source).await;
    }
    assert_eq!((count("get") - gets, count("mget") - mgets), (10, 0));
}

#[tokio::test]
async fn a_short_life_in_memory_is_short() {
    let server = RedisServer::start();
    let source = Source::new(builder(&server).build().expect("good settings"));
    for _ in 0..3 {
        short(&source).await;
    }
    assert_eq!(from_memory("local::short"), 1);
    tokio::time::sleep(Duration::from_millis(350)).await;
    short(&source).await;
    assert_eq!(from_memory("local::short"), 1, "it is read again");
    short(&source).await;
    assert_eq!(from_memory("local::short"), 2);
}

#[tokio::test]
async fn an_instance_without_memory_for_values_keeps_none() {
    let server = RedisServer::start();
    let source = Source::new(builder(&server).local_memory_limit(0).build().expect("good settings"));
    for _ in 0..5 {
        value(&source).await;
    }
    assert_eq!(from_memory("local::value"), 0);
}

#[cached(key = "large:{id}", ttl = "1h", skip(source), using = source.keylatch)]
async fn large(source: &Source, id: u64) -> String {
    source.load();
    "x".repeat(30_000)
}

/// Packs into a hundred bytes or so.
#[cached(key = "packed:{id}", ttl = "1h", compress = zstd, skip(source), using = source.keylatch)]
async fn packed(source: &Source, id: u64) -> String {
    source.load();
    "x".repeat(30_000)
}

/// One limit is for all functions together, and for values as they lie in memory, however small they are in Redis.
#[tokio::test]
async fn all_values_together_keep_within_the_limit() {
    const EACH: u64 = 100;
    let server = RedisServer::start();
    let source = Source::new(builder(&server).local_memory_limit(2 << 20).build().expect("good settings"));
    let in_memory = || from_memory("local::large") + from_memory("local::packed");
    // The first calls load and store, the second ones find and keep.
    for _ in 0..2 {
        for id in 0..EACH {
            assert_eq!(large(&source, id).await.len() + packed(&source, id).await.len(), 60_000);
        }
    }
    let before = in_memory();
    for id in 0..EACH {
        large(&source, id).await;
        packed(&source, id).await;
    }
    let kept = in_memory() - before;
    // Seventy such values are 2 MiB. Those of one function alone would be more, were they weighed as they are stored.
    eprintln!("{kept} of {} values were in memory", 2 * EACH);
    assert!((40..=80).contains(&kept), "{kept} of {} values were in memory", 2 * EACH);
}

/// Every way to invalidate reaches the memory of the process that invalidates before it returns, and that of another one
/// soon after.
#[tokio::test]
async fn every_invalidation_reaches_every_memory() {
    let server = RedisServer::start();
    let instance = || Source::new(builder(&server).build().expect("good settings"));
    let (here, there) = (instance(), instance());
    for way in 0..6 {
        until_in_memory(&here).await;
        until_in_memory(&there).await;
        let version = here.version.fetch_add(1, Ordering::SeqCst) + 1;
        there.version.store(version, Ordering::SeqCst);
        match way {
            0 => value(&here).invalidate().await,
            1 => here.keylatch.invalidate_tag(Key::of("tag")).await,
            2 => value(&here).invalidate_all().await,
            3 => here.keylatch.clear().await,
            4 => here.keylatch.invalidate_matching(&keylatch::Pattern::of("value").any()).await,
            _ => value(&here).put(version).await,
        }
        .expect("the server is up");
        assert_eq!(value(&here).await, version, "way {way}");
        let began = std::time::Instant::now();
        while value(&there).await != version {
            assert!(began.elapsed() < Duration::from_secs(1), "way {way}: the news do not come");
            tokio::task::yield_now().await;
        }
    }
}

/// A connection that is lost, and one that falls silent: what changes meanwhile is not missed.
#[tokio::test]
async fn what_is_in_memory_goes_with_the_connection_that_watches_it() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let behind = Keylatch::builder().redis_url(proxy.url()).namespace("test");
    let here = Source::new(behind.build().expect("good settings"));
    let there = builder(&server).build().expect("good settings");
    for silent in [false, true] {
        until_in_memory(&here).await;
        let version = here.version.fetch_add(1, Ordering::SeqCst) + 1;
        if silent {
            proxy.silence();
        } else {
            proxy.cut();
        }
        there.invalidate("value:one").await.expect("the server is up");
        // The end of a connection is told at once, long before it is asked whether it lives. Of silence it is a second until it is
        // asked, one until it should have answered, half of one for a look-up in vain, and slack.
        let limit = Duration::from_millis(if silent { 4_000 } else { 900 });
        let began = std::time::Instant::now();
        while value(&here).await != version {
            assert!(began.elapsed() < limit, "silent: {silent}: the change is missed");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        eprintln!("silent: {silent}: noticed after {:?}", began.elapsed());
    }
}

/// How long another instance may answer from its memory after an invalidation has returned.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_window_until_the_push_arrives() {
    let server = RedisServer::start();
    let instance = || Source::new(builder(&server).build().expect("good settings"));
    let (here, there) = (instance(), instance());
    let mut windows = Vec::new();
    for _ in 0..300 {
        value(&there).await;
        value(&there).await;
        let version = there.version.fetch_add(1, Ordering::SeqCst) + 1;
        here.keylatch.invalidate("value:one").await.expect("the server is up");
        let began = std::time::Instant::now();
        while value(&there).await != version {
            assert!(began.elapsed() < Duration::from_secs(1), "the news do not come");
            tokio::task::yield_now().await;
        }
        windows.push(began.elapsed());
    }
    windows.sort_unstable();
    let at = |percent: usize| windows[windows.len() * percent / 100];
    eprintln!("window until the push: p50 {:?}, p99 {:?}, worst {:?}", at(50), at(99), windows.last());
    assert!(at(99) < Duration::from_millis(500), "{:?}", at(99));
}

/// Watching over connections must not keep them.
#[tokio::test]
async fn an_instance_that_is_dropped_leaves_no_connection() {
    let server = RedisServer::start();
    let clients = || -> u64 {
        let clients = server.info("connected_clients").expect("the server answers");
        clients.parse().expect("a number")
    };
    let before = clients();
    let source = Source::new(builder(&server).build().expect("good settings"));
    value(&source).await;
    assert!(clients() > before);
    drop(source);
    let began = std::time::Instant::now();
    while clients() > before {
        assert!(began.elapsed() < Duration::from_secs(3), "{} connections are left", clients() - before);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
