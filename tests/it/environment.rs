//! The environment alone chooses what is connected to: the same program, in a process of its own, on each topology.

use std::time::Duration;

use keylatch::cached;

use crate::support::cluster::Cluster;
use crate::support::replicated::Replicated;
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::tls::{Clients, TlsServer};
use crate::support::{RedisServer, Upstash, child, until};

/// A program that calls a cached function and finds its entry stored under `shop`. It knows nothing but these variables.
fn serves(variables: &[(&str, &str)]) {
    let mut variables = variables.to_vec();
    variables.push(("REDIS_KEY_PREFIX", "shop"));
    let mut child = child::start_with("global::child_uses_the_environment", "shop", &variables);
    let ended = tokio::task::block_in_place(|| child.wait()).expect("it ends");
    assert!(ended.success(), "{variables:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_by_its_parts() {
    let server = RedisServer::start();
    server.query(&["ACL", "SETUSER", "alice", "on", ">secret", "~shop*", "&*", "+@all"]).expect("it answers");
    serves(&[
        ("REDIS_HOST", "127.0.0.1"),
        ("REDIS_PORT", &server.port().to_string()),
        ("REDIS_USERNAME", "alice"),
        ("REDIS_PASSWORD", "secret"),
        ("REDIS_DB", "3"),
        ("REDIS_POOL_SIZE", "2"),
        ("REDIS_CONNECT_TIMEOUT", "2000"),
        ("REDIS_COMMAND_TIMEOUT", "2000"),
        ("REDIS_MAX_RETRIES", "1"),
        ("REDIS_ENABLE_AUTO_PIPELINING", "false"),
        ("REDIS_MAX_MEMORY", "48mb"),
    ]);
    assert!(server.info("db3").is_some(), "nothing is stored in that database");
    assert_eq!(server.info("maxmemory"), Some((48 << 20).to_string()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_with_encryption() {
    let server = TlsServer::start(Clients::WithCertificate);
    let file = |name: &str| server.certificates.path(name).to_str().expect("a readable path").to_owned();
    serves(&[
        ("REDIS_HOST", "localhost"),
        ("REDIS_PORT", &server.port().to_string()),
        ("REDIS_TLS", "true"),
        ("REDIS_TLS_CA_FILE", &file("ca.pem")),
        ("REDIS_TLS_CERT_FILE", &file("client.pem")),
        ("REDIS_TLS_KEY_FILE", &file("client.key")),
    ]);
    assert!(server.plain.key_count() > 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster() {
    let cluster = Cluster::start(3, false).await;
    serves(&[("REDIS_CLUSTER_MODE", "true"), ("REDIS_CLUSTER_NODES", &cluster.addresses().join(","))]);
    assert!(cluster.masters().iter().any(|master| master.key_count() > 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels() {
    let sentinels = Sentinels::start(1).await;
    serves(&[("REDIS_SENTINEL_URLS", &sentinels.urls().join(",")), ("REDIS_SENTINEL_MASTER", MASTER)]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas() {
    let servers = Replicated::start(1).await;
    let urls: Vec<String> = servers.replicas.iter().map(RedisServer::url).collect();
    let variables = [
        ("REDIS_URL", &*servers.primary.url()),
        ("REDIS_READ_REPLICAS", "true"),
        ("REDIS_READ_REPLICA_URLS", &urls.join(",")),
    ];
    serves(&variables);
    assert!(servers.primary.key_count() > 0);
    let mut reader = child::start_with("environment::child_reads", "", &variables);
    until("nothing is read there", || {
        servers.replicas[0].calls("get") + servers.replicas[0].calls("mget") > 0
    })
    .await;
    reader.kill().expect("it runs");
    reader.wait().expect("it has ended");
}

#[cached(key = "often:{id}", ttl = "1m", local = off)]
async fn often(id: u64) -> u64 {
    id
}

/// Reads until it is killed, for ten seconds at most.
#[tokio::test]
async fn child_reads() {
    if child::argument("child_reads").is_none() {
        return;
    }
    for _ in 0..1_000 {
        often(1).await;
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn upstash() {
    let server = RedisServer::start();
    let stand_in = Upstash::start(&server);
    serves(&[
        ("REDIS_PROVIDER", "upstash"),
        ("UPSTASH_REDIS_REST_URL", &stand_in.url()),
        ("UPSTASH_REDIS_REST_TOKEN", Upstash::TOKEN),
    ]);
    assert!(server.key_count() > 0);
}
