//! The environment alone chooses what is connected to: the same program, in a process of its own, on each topology.

use std::process::{Child, ExitStatus};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keylatch::{Connection, Keylatch, cached};
use redis::{AsyncCommands, RedisResult};

use crate::support::cluster::Cluster;
use crate::support::proxy::Mode;
use crate::support::replicated::{Replicated, reads};
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::tls::{Clients, TlsServer};
use crate::support::{Proxy, RedisServer, Upstash, child, until};

/// A program that calls a cached function and finds its entry stored under `shop`. It knows nothing but these
/// variables, and would find it on the embedded store as well: whoever calls this looks whether it is on the servers.
fn serves(variables: &[(&str, &str)]) {
    let ended = ends("global::child_uses_the_environment", "shop", variables);
    assert!(ended.success(), "{variables:?}");
}

fn ends(program: &str, argument: &str, variables: &[(&str, &str)]) -> ExitStatus {
    let mut child = start(program, argument, variables);
    tokio::task::block_in_place(|| child.wait()).expect("it ends")
}

fn start(program: &str, argument: &str, variables: &[(&str, &str)]) -> Child {
    let mut variables = variables.to_vec();
    variables.push(("REDIS_KEY_PREFIX", "shop"));
    child::start_with(program, argument, &variables)
}

/// A program that reads all the time, until it has done enough of it.
async fn reads_until(variables: &[(&str, &str)], what: &str, has_done_enough: impl FnMut() -> bool) {
    let mut reader = start("environment::child_reads", "", variables);
    until(what, has_done_enough).await;
    reader.kill().expect("it runs");
    reader.wait().expect("it has ended");
}

/// Asks a server that lets in nobody but users that it knows by name.
fn observed(server: &RedisServer, words: &[&str]) -> String {
    let url = format!("redis://observer:sees-all@127.0.0.1:{}", server.port());
    let client = redis::Client::open(url).expect("a good URL");
    let mut connection = client.get_connection().expect("the observer is known");
    redis::cmd(words[0]).arg(&words[1..]).query(&mut connection).expect("it answers")
}

fn field<'a>(info: &'a str, name: &str) -> Option<&'a str> {
    info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim)
}

fn observed_reads(server: &RedisServer) -> u64 {
    let stats = observed(server, &["INFO", "commandstats"]);
    let calls = |command: &str| -> Option<u64> {
        let (calls, _) = field(&stats, command)?.strip_prefix("calls=")?.split_once(',')?;
        calls.parse().ok()
    };
    ["cmdstat_get", "cmdstat_mget"].into_iter().filter_map(calls).sum()
}

/// The connections of the user by whom the program logs in.
fn connections_of_alice(server: &RedisServer) -> usize {
    let list = observed(server, &["CLIENT", "LIST"]);
    list.lines().filter(|line| line.split(' ').any(|field| field == "user=alice")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_by_its_parts() {
    let server = RedisServer::start();
    for [name, password, keys] in [["observer", ">sees-all", "~*"], ["alice", ">secret", "~shop*"]] {
        let words = ["ACL", "SETUSER", name, "on", password, keys, "&*", "+@all"];
        server.query(&words).expect("it answers");
    }
    // Whoever does not log in is refused.
    server.query(&["ACL", "SETUSER", "default", "off"]).expect("it answers");
    assert!(server.query(&["PING"]).is_err());
    let variables = [
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
    ];
    serves(&variables);
    let info = observed(&server, &["INFO"]);
    assert!(field(&info, "db3").is_some(), "nothing is stored in that database");
    assert_eq!(field(&info, "maxmemory"), Some("50331648"));

    // Two connections, which are there soon after the first call, and no more of them after many calls.
    let (before, mut most) = (observed_reads(&server), 0);
    reads_until(&variables, "there are two connections, and it reads", || {
        let connections = connections_of_alice(&server);
        most = most.max(connections);
        connections == 2 && observed_reads(&server) >= before + 50
    })
    .await;
    assert_eq!(most, 2);
}

/// A child that has seen what it is to see ends with this: one that never ran its function does not.
const SEEN: i32 = 78;
const CONNECT: Duration = Duration::from_millis(300);
const COMMAND: Duration = Duration::from_millis(900);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(600);
const CALLERS: u64 = 64;

/// Each limit alone, where without it the default would show.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn limits() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let url = proxy.url();
    let is_seen = |what: &str, variable: &str, value: &str| {
        let ended = ends("environment::child_sees", what, &[("REDIS_URL", &url), (variable, value)]);
        assert_eq!(ended.code(), Some(SEEN), "{variable}={value}");
    };
    is_seen("its own limit", "REDIS_COMMAND_TIMEOUT", &format!("{COMMAND:?}"));

    proxy.set(Mode::Hold);
    is_seen("a dial that fails", "REDIS_CONNECT_TIMEOUT", &format!("{CONNECT:?}"));

    // Each reading is cut, also the one that it is repeated by, which would be three by default.
    proxy.set(Mode::CutAfter("cut-here"));
    server.forget_calls();
    is_seen("a read that fails", "REDIS_MAX_RETRIES", "1");
    until("the server has got both", || server.calls("get") >= 2).await;
    assert_eq!(server.calls("get"), 2);
    proxy.set(Mode::Pass);

    // The first to come store the entries, by scripts that read as well.
    is_seen("many calls", "REDIS_ENABLE_AUTO_PIPELINING", "true");
    for (is_on, value) in [(true, "true"), (false, "false")] {
        server.forget_calls();
        is_seen("many calls", "REDIS_ENABLE_AUTO_PIPELINING", value);
        let reads = reads(&server);
        assert_eq!(reads < CALLERS / 2, is_on, "{reads} commands for {CALLERS} callers");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_sees() {
    let Some(what) = child::argument("child_sees") else { return };
    let cache = Keylatch::from_env().expect("a good environment");
    let redis = cache.connection().expect("there is a server");
    match &*what {
        "its own limit" => {
            let mut first = redis.clone();
            first.ping::<()>().await.expect("the server answers");
            // For longer than the limit, and for less than the default.
            redis::cmd("CLIENT").arg("PAUSE").arg(2_000).exec_async(&mut first).await.expect("it answers");
            fails_after(COMMAND, redis).await;
        }
        "a dial that fails" => fails_after(CONNECT, redis).await,
        "a read that fails" => {
            let told: RedisResult<Option<u64>> = redis.clone().get("cut-here").await;
            assert!(told.is_err(), "{told:?}");
        }
        "many calls" => {
            // The function's instance is another one, of the same environment.
            often(0).await;
            let answers = join_all((0..CALLERS).map(often)).await;
            assert_eq!(answers, (0..CALLERS).collect::<Vec<_>>());
        }
        other => panic!("{other}"),
    }
    std::process::exit(SEEN);
}

async fn fails_after(limit: Duration, mut redis: Connection) {
    let began = Instant::now();
    let told: RedisResult<Option<u64>> = redis.get("key").await;
    let took = began.elapsed();
    assert!(told.as_ref().is_err_and(redis::RedisError::is_timeout), "{told:?}");
    assert!((limit..limit + SLACK).contains(&took), "{took:?}");
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
    assert!(sentinels.servers[0].key_count() > 0, "nothing is stored on the primary");
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
    reads_until(&variables, "the replica is read", || reads(&servers.replicas[0]) > 0).await;
}

/// None is named: the primary names them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_the_primary() {
    let servers = Replicated::start(2).await;
    let variables = [("REDIS_URL", &*servers.primary.url()), ("REDIS_READ_REPLICAS", "true")];
    let all_are_read = || servers.replicas.iter().all(|replica| reads(replica) > 0);
    reads_until(&variables, "every replica is read", all_are_read).await;
}

/// None is named: the sentinels name them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_of_sentinels() {
    let sentinels = Sentinels::start(2).await;
    let variables = [
        ("REDIS_SENTINEL_URLS", &*sentinels.urls().join(",")),
        ("REDIS_SENTINEL_MASTER", MASTER),
        ("REDIS_READ_REPLICAS", "true"),
    ];
    let all_are_read = || sentinels.servers[1..].iter().all(|replica| reads(replica) > 0);
    reads_until(&variables, "every replica is read", all_are_read).await;
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
