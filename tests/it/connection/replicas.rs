//! Reads go to replicas while these are well and may lag, and to the primary otherwise.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Builder, CachedCall, Keylatch, Pattern, cached};
use redis::AsyncCommands;

use crate::support::proxy::Mode;
use crate::support::replicated::{self, Replicated};
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::{RedisServer, until};

/// How long finding the replicas may take: they are looked at twice, a second apart.
const FOUND: Duration = Duration::from_secs(10);
/// Time for more than two of these looks.
const SEVERAL_LOOKS: Duration = Duration::from_secs(3);
/// How soon a replica that falls behind is left: "within about two seconds", and what a busy machine may add.
const LEFT: Duration = Duration::from_secs(4);

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
    built(Keylatch::builder().redis_url(servers.primary.url()).read_replicas(urls))
}

fn built(builder: Builder) -> Source {
    let cache = builder.namespace("test").build().expect("good settings");
    Source { cache, version: AtomicU64::new(1) }
}

/// What the body of [`version`] answers from now on, in both processes.
fn change(sources: [&Source; 2]) {
    for source in sources {
        source.version.store(2, Ordering::SeqCst);
    }
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
    // They are empty and follow nobody, so they may not be read, however often they are looked at and dialled.
    let (restarted, before, mut calls) = (Instant::now(), servers.primary.calls("mget"), 0);
    while restarted.elapsed() < SEVERAL_LOOKS {
        assert_eq!(version(&source, 1).await, 1_001);
        calls += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert!(servers.primary.calls("mget") >= before + calls, "entries are still read");
    // They count from nothing since they were started again.
    assert_eq!(servers.replicas.iter().map(replicated::reads).sum::<u64>(), 0);
}

/// Another process changes an entry, for this one would read nothing from replicas after a change of its own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_that_falls_behind_is_left_until_it_has_caught_up() {
    const ENTRY: [&str; 2] = ["GET", "test:version:1"];
    let servers = Replicated::start(2).await;
    let (source, other) = (on(&servers), on(&servers));
    until_replicas_serve(&source, &servers.replicas).await;
    let [behind, in_step] = &servers.replicas[..] else { panic!("two replicas") };

    servers.links[0].set(Mode::Hold);
    let held = Instant::now();
    change([&source, &other]);
    version(&other, 1).invalidate().await.expect("it is up");
    assert_eq!(version(&other, 1).await, 2_001);
    until("the other replica has it", || in_step.query(&ENTRY) == servers.primary.query(&ENTRY)).await;
    assert_ne!(behind.query(&ENTRY), servers.primary.query(&ENTRY), "it would answer with what is old");

    // So many in a row do not go to the other one by chance.
    let mut in_a_row = 0;
    while in_a_row < 40 {
        assert!(held.elapsed() < LEFT, "it is still read");
        let before = replicated::reads(behind);
        version(&source, 1).await;
        in_a_row = if replicated::reads(behind) == before { in_a_row + 1 } else { 0 };
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    let (before_behind, before_in_step) = (replicated::reads(behind), replicated::reads(in_step));
    let (began, mut calls) = (Instant::now(), 0);
    while began.elapsed() < SEVERAL_LOOKS / 2 {
        assert_eq!(version(&source, 1).await, 2_001, "an old value");
        calls += 1;
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    assert_eq!(replicated::reads(behind), before_behind, "it is read again");
    assert!(replicated::reads(in_step) >= before_in_step + calls, "the other one serves alone");

    servers.links[0].set(Mode::Pass);
    let passed = Instant::now();
    while replicated::reads(behind) == before_behind {
        assert_eq!(version(&source, 1).await, 2_001, "it is read too soon");
        assert!(passed.elapsed() < FOUND, "it is not read any more");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Another process has just removed what the pattern would have found, and the replicas do not know that yet.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pattern_that_finds_nothing_is_an_invalidation_all_the_same() {
    let servers = Replicated::start(2).await;
    let (source, other) = (on(&servers), on(&servers));
    until_replicas_serve(&source, &servers.replicas).await;
    // They fall behind, and are not left before they have been looked at twice.
    for link in &servers.links {
        link.set(Mode::Hold);
    }
    change([&source, &other]);
    let pattern = Pattern::of("version").part(&1_u64);
    other.cache.invalidate_matching(&pattern).await.expect("it is up");
    source.cache.invalidate_matching(&pattern).await.expect("it is up");
    let before = reads(&servers.replicas);
    for _ in 0..20 {
        assert_eq!(version(&source, 1).await, 2_001, "an old value");
    }
    assert_eq!(reads(&servers.replicas), before, "an old value could have been read");
}

/// No replica is named by configuration. One of them takes over, and the other one is read on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_name_the_replicas() {
    let servers = Sentinels::start(2).await;
    let builder = Keylatch::builder().sentinel(servers.urls(), MASTER);
    let source = built(builder.read_replicas(Vec::<String>::new()));
    until_replicas_serve(&source, &servers.servers[1..]).await;

    let old = servers.servers[0].port();
    servers.fail_over();
    servers.until_primary_is_not(old).await;
    let promoted = servers.primary_port().expect("there is a primary");
    let deadline = Instant::now() + FOUND;
    while !writes_to(&source, promoted).await {
        assert!(Instant::now() < deadline, "the new primary is not noticed");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // From here on, none is read because it was one of those that followed the old primary.
    let other = servers.servers[1..].iter().find(|server| server.port() != promoted).expect("two replicas");
    let (before, deadline) = (replicated::reads(other), Instant::now() + 2 * FOUND);
    while replicated::reads(other) == before {
        assert_eq!(version(&source, 1).await, 1_001);
        assert!(Instant::now() < deadline, "the replica that is left is not read");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

/// Whether that server is the primary, as far as the instance knows.
async fn writes_to(source: &Source, port: u16) -> bool {
    let health = source.cache.health().await;
    health.servers.first().is_some_and(|primary| primary.address.ends_with(&format!(":{port}")))
}

/// The primary is the only server that is named by configuration.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_names_the_replicas() {
    let mut servers = Replicated::start(1).await;
    let builder = Keylatch::builder().redis_url(servers.primary.url());
    let source = built(builder.read_replicas(Vec::<String>::new()));
    until_replicas_serve(&source, &servers.replicas).await;

    // One that comes later is found as well.
    let late = RedisServer::start();
    replicated::follow(&late, servers.primary.port());
    replicated::until_in_step(&late).await;
    servers.replicas.push(late);
    until_replicas_serve(&source, &servers.replicas).await;
}
