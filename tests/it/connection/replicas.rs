//! Reads go to replicas while these are well and may lag, and to the primary otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, Keylatch, cached};
use redis::AsyncCommands;

use crate::support::RedisServer;
use crate::support::replicated::Replicated;

/// How long finding the replicas may take: they are looked at twice, a second apart.
const FOUND: Duration = Duration::from_secs(10);

struct Source {
    cache: Keylatch,
    version: AtomicU64,
}

#[cached(key = "version:{id}", ttl = "10m", skip(source), using = source.cache)]
async fn version(source: &Source, id: u64) -> u64 {
    source.version.load(Ordering::SeqCst) * 1_000 + id
}

fn on(servers: &Replicated) -> Source {
    let urls = servers.replicas.iter().map(RedisServer::url);
    let builder = Keylatch::builder().redis_url(servers.primary.url()).read_replicas(urls).namespace("test");
    Source { cache: builder.build().expect("good settings"), version: AtomicU64::new(1) }
}

/// Looks an entry up until a replica is asked, and another one.
async fn until_replicas_serve(source: &Source, replicas: &[RedisServer]) {
    let deadline = Instant::now() + FOUND;
    while replicas.iter().any(|replica| replica.calls("mget") == 0) {
        version(source, 1).await;
        assert!(Instant::now() < deadline, "a replica is never read");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

fn reads(servers: &[RedisServer]) -> u64 {
    servers.iter().map(|server| server.calls("mget")).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_may_lag_is_read_from_any_of_them_and_what_must_be_fresh_is_not() {
    let servers = Replicated::start(2).await;
    let source = on(&servers);
    until_replicas_serve(&source, &servers.replicas).await;

    // Users' own reads go there, too; writes do not.
    let mut redis = source.cache.connection().expect("there is a server");
    redis.set::<_, _, ()>("own", 7).await.expect("it is up");
    for _ in 0..20 {
        let _may_lag: Option<u64> = redis.get("own").await.expect("it is up");
    }
    assert!(servers.replicas.iter().all(|replica| replica.calls("get") > 0), "20 reads, by chance");

    // For three seconds this process reads nothing from replicas: they may not have what it has changed.
    source.version.store(2, Ordering::SeqCst);
    version(&source, 1).invalidate().await.expect("it is up");
    let (replicas, primary) = (reads(&servers.replicas), servers.primary.calls("mget"));
    for _ in 0..50 {
        assert_eq!(version(&source, 1).await, 2_001);
    }
    assert_eq!(reads(&servers.replicas), replicas, "an old value could have been read");
    assert!(servers.primary.calls("mget") > primary);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_replicas_the_primary_serves() {
    let mut servers = Replicated::start(2).await;
    let source = on(&servers);
    until_replicas_serve(&source, &servers.replicas).await;
    for replica in &mut servers.replicas {
        replica.kill();
    }
    let before = servers.primary.calls("mget");
    for _ in 0..50 {
        let began = Instant::now();
        assert_eq!(version(&source, 1).await, 1_001);
        assert!(began.elapsed() < Duration::from_millis(400), "{:?}", began.elapsed());
    }
    assert!(servers.primary.calls("mget") >= before + 50, "entries are still read");

    for replica in &mut servers.replicas {
        replica.restart();
    }
    // They are empty and follow nobody, so they may not be read.
    for _ in 0..50 {
        assert_eq!(version(&source, 1).await, 1_001);
    }
}
