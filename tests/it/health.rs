//! `health()` says how each server is, in time and without secrets, whatever the servers do.

use std::time::{Duration, Instant};

use keylatch::{BreakerState, Builder, Health, Keylatch, Status};

use crate::support::cluster::Cluster;
use crate::support::proxy::Mode;
use crate::support::replicated::Replicated;
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::{RedisServer, until};

/// What `health()` may take where servers hang, and what a busy machine may add.
const AT_MOST: Duration = Duration::from_millis(2_500);

fn built(builder: Builder) -> Keylatch {
    builder.namespace("test").build().expect("good settings")
}

async fn in_time(cache: &Keylatch) -> Health {
    let began = Instant::now();
    let health = cache.health().await;
    assert!(began.elapsed() < AT_MOST, "{:?}", began.elapsed());
    health
}

#[tokio::test]
async fn a_single_server_tells_everything_but_secrets() {
    let server = RedisServer::start_with(&["--requirepass", "s3cret-word", "--maxmemory", "64mb"]);
    let url = format!("redis://:s3cret-word@127.0.0.1:{}", server.port());
    let cache = built(Keylatch::builder().redis_url(&url).pool_size(2));
    let health = in_time(&cache).await;
    assert_eq!((health.status, health.topology), (Status::Up, "single"));
    assert_eq!(health.warnings, [] as [String; 0]);
    let [only] = &health.servers[..] else { panic!("{health:?}") };
    assert_eq!(only.address, format!("127.0.0.1:{}", server.port()));
    assert!(only.latency_us.is_some_and(|latency| latency > 0) && only.error.is_none());
    assert!(matches!(only.kind, Some("redis" | "valkey")), "{:?}", only.kind);
    let major = only.version.as_ref().and_then(|version| version.split('.').next()?.parse::<u32>().ok());
    assert!(major.is_some_and(|major| major >= 6), "{:?}", only.version);
    assert_eq!(only.role, Some("primary"));
    assert!(only.used_memory.is_some_and(|bytes| bytes > 100_000));
    assert_eq!(only.max_memory, Some(64 << 20));
    assert_eq!(only.eviction_policy.as_deref(), Some("noeviction"));
    assert!(only.clients.is_some_and(|clients| clients >= 1));
    assert!(only.uptime_s.is_some_and(|seconds| seconds < 60));
    assert_eq!((only.lag_bytes, only.breaker.state), (None, BreakerState::Closed));
    assert!(only.connections >= 1);

    let json = serde_json::to_value(&health).expect("it can be serialised");
    assert_eq!(json["status"], "up");
    assert_eq!(json["servers"][0]["role"], "primary");
    assert_eq!(json["servers"][0]["breaker"]["state"], "closed");
    for shown in [json.to_string(), format!("{health:?}"), format!("{cache:?}")] {
        assert!(!shown.contains("s3cret"), "{shown}");
    }
}

#[tokio::test]
async fn a_server_that_may_evict_locks_is_warned_of() {
    let server = RedisServer::start_with(&["--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"]);
    let cache = built(Keylatch::builder().redis_url(server.url()));
    let health = in_time(&cache).await;
    assert_eq!(health.status, Status::Up);
    let [warning] = &health.warnings[..] else { panic!("{health:?}") };
    assert!(warning.contains("allkeys-lru") && warning.contains("noeviction"), "{warning}");
    // Without a limit nothing is evicted.
    server.query(&["CONFIG", "SET", "maxmemory", "0"]).expect("it answers");
    assert_eq!(in_time(&cache).await.warnings, [] as [String; 0]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_or_is_gone_is_down_in_time() {
    let mut server = RedisServer::start();
    let cache = built(Keylatch::builder().redis_url(server.url()));
    assert_eq!(in_time(&cache).await.status, Status::Up);
    server.signal("STOP");
    let hanging = in_time(&cache).await;
    server.signal("CONT");
    server.kill();
    let gone = in_time(&cache).await;
    for health in [hanging, gone] {
        let [only] = &health.servers[..] else { panic!("{health:?}") };
        assert_eq!((health.status, only.latency_us, only.role), (Status::Down, None, None));
        assert!(only.error.is_some());
    }
    server.restart();
    let deadline = Instant::now() + Duration::from_secs(5);
    while in_time(&cache).await.status != Status::Up {
        assert!(Instant::now() < deadline, "it is back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_tell_how_far_they_are_behind() {
    let mut servers = Replicated::start(2).await;
    let urls = servers.replicas.iter().map(RedisServer::url);
    let cache = built(Keylatch::builder().redis_url(servers.primary.url()).read_replicas(urls));
    let is_known = async || in_time(&cache).await.servers.len() == 3;
    let deadline = Instant::now() + Duration::from_secs(5);
    while !is_known().await {
        assert!(Instant::now() < deadline, "the replicas are found");
    }
    servers.links[0].set(Mode::Hold);
    servers.primary.query(&["SET", "large", &"x".repeat(200_000)]).expect("it answers");
    until("the other replica has it", || servers.replicas[1].key_count() == 1).await;

    let health = in_time(&cache).await;
    assert_eq!((health.status, health.topology), (Status::Up, "replicas"));
    let lag = |port: u16| {
        let address = format!("127.0.0.1:{port}");
        let server = health.servers.iter().find(|server| server.address == address).expect("it is there");
        assert_eq!(server.role, Some("replica"));
        server.lag_bytes.expect("it tells")
    };
    assert!(lag(servers.replicas[0].port()) >= 200_000);
    assert!(lag(servers.replicas[1].port()) < 100_000);
    assert_eq!(health.servers[0].role, Some("primary"));

    servers.replicas[1].kill();
    assert_eq!(in_time(&cache).await.status, Status::Degraded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_name_the_server_that_is_asked() {
    let servers = Sentinels::start(1).await;
    let cache = built(Keylatch::builder().sentinel(servers.urls(), MASTER));
    let health = in_time(&cache).await;
    assert_eq!((health.status, health.topology), (Status::Up, "sentinel"));
    let port = servers.primary_port().expect("there is a primary");
    assert!(health.servers[0].address.ends_with(&format!(":{port}")), "{health:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_without_one_of_its_masters_is_degraded() {
    let mut cluster = Cluster::start(3, false).await;
    let cache = built(Keylatch::builder().cluster(cluster.addresses()));
    let health = in_time(&cache).await;
    assert_eq!((health.status, health.topology, health.servers.len()), (Status::Up, "cluster", 3));
    let lost = cluster.nodes[1].port();
    cluster.nodes[1].kill();
    let health = in_time(&cache).await;
    assert_eq!(health.status, Status::Degraded);
    for server in &health.servers {
        assert_eq!(server.error.is_some(), server.address.ends_with(&format!(":{lost}")), "{server:?}");
    }
}

#[tokio::test]
async fn the_embedded_store_is_always_up() {
    let health = in_time(&Keylatch::in_memory()).await;
    assert_eq!((health.status, health.topology, health.servers.len()), (Status::Up, "embedded", 0));
}
