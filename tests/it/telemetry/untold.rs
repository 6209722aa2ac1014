//! A server that cannot tell of changes: each instance says so once, and answers from memory only what says for how long it may
//! be kept there.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Builder, Keylatch, cached};
use tracing::Level;

use super::collected::Collected;
use crate::local::from_memory;
use crate::support::{RedisServer, Upstash, builder, until};

const UNTOLD: &str = "the server does not tell of changes";

/// A server that refuses what has to do with connections, and so to track what they have read.
fn without_tracking() -> RedisServer {
    let server = RedisServer::start();
    server.query(&["ACL", "SETUSER", "default", "-client"]).expect("it answers");
    server
}

fn over_rest(stand_in: &Upstash) -> Builder {
    Keylatch::builder().upstash(stand_in.url(), Upstash::TOKEN).namespace("test")
}

#[cached(key = "doubled:{id}", ttl = "10m", skip(cache), using = cache)]
async fn doubled(cache: &Keylatch, id: u64) -> u64 {
    id * 2
}

/// Has an entry, and is then asked for it ten times; how often the server was.
async fn reads_of_ten_hits(server: &RedisServer, cache: &Keylatch) -> u64 {
    for _ in 0..2 {
        assert_eq!(doubled(cache, 4).await, 8);
    }
    let before = server.calls("mget");
    for _ in 0..10 {
        assert_eq!(doubled(cache, 4).await, 8);
    }
    server.calls("mget") - before
}

#[tokio::test]
async fn each_instance_says_once_that_its_server_does_not_track() {
    let server = without_tracking();
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    let connections = || collected.lines(Level::INFO, "connected").len();
    let told = || collected.lines(Level::WARN, UNTOLD).len();
    for instances in 1..=2 {
        let cache = builder(&server).pool_size(3).build().expect("good settings");
        assert_eq!(reads_of_ten_hits(&server, &cache).await, 10, "nothing is kept in memory");
        until("the other connections are not made", || connections() == 3 * instances).await;
        assert_eq!(told(), instances, "{}", collected.all());
    }
    // Where nothing would be kept in any case, it means nothing.
    let without_memory = builder(&server).local_memory_limit(0).pool_size(1).build().expect("good settings");
    assert_eq!(reads_of_ten_hits(&server, &without_memory).await, 10);
    assert_eq!((connections(), told()), (7, 2), "{}", collected.all());

    let tracking = RedisServer::start();
    let cache = crate::support::keylatch(&tracking);
    let began = Instant::now();
    while reads_of_ten_hits(&tracking, &cache).await > 0 {
        assert!(began.elapsed() < Duration::from_secs(5), "what is watched is not kept");
    }
    assert_eq!(told(), 2, "{}", collected.all());
}

#[tokio::test]
async fn each_instance_says_once_that_rest_does_not_tell() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    for instances in 1..=2 {
        let cache = over_rest(&stand_in).build().expect("good settings");
        assert_eq!(reads_of_ten_hits(&server, &cache).await, 10, "nothing is kept in memory");
        assert_eq!(collected.lines(Level::WARN, UNTOLD).len(), instances, "{}", collected.all());
    }
    let without_memory = over_rest(&stand_in).local_memory_limit(0).build().expect("good settings");
    assert_eq!(reads_of_ten_hits(&server, &without_memory).await, 10);
    assert_eq!(collected.lines(Level::WARN, UNTOLD).len(), 2, "{}", collected.all());
}

struct Source {
    cache: Keylatch,
    version: AtomicU64,
}

/// As `short_lived` says.
const LIFE: Duration = Duration::from_millis(500);

#[cached(key = "brief", ttl = "10m", local = "500ms", skip_all, using = source.cache)]
async fn short_lived(source: &Source) -> u64 {
    source.version.load(Ordering::SeqCst)
}

/// Values are kept for the life that their function says, and no longer: nobody tells of what another instance changes.
async fn is_kept_for_its_life(name: &str, here: Builder, there: Builder) {
    let here = Source { cache: here.build().expect("good settings"), version: AtomicU64::new(1) };
    let there = there.build().expect("good settings");
    let (before, began) = (from_memory("untold::short_lived"), Instant::now());
    while from_memory("untold::short_lived") == before {
        assert!(began.elapsed() < Duration::from_secs(5), "{name}: it is not kept in memory");
        assert_eq!(short_lived(&here).await, 1, "{name}");
    }
    here.version.store(2, Ordering::SeqCst);
    there.invalidate("brief").await.expect("the server is up");
    let began = Instant::now();
    while short_lived(&here).await != 2 {
        assert!(began.elapsed() < LIFE + Duration::from_secs(1), "{name}: it is kept for longer");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn what_may_be_kept_for_a_short_life_is_kept_for_that() {
    let server = without_tracking();
    is_kept_for_its_life("without tracking", builder(&server), builder(&server)).await;
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    is_kept_for_its_life("over REST", over_rest(&stand_in), over_rest(&stand_in)).await;
}
