//! Every variable: a good value reaches its field, and the same by the builder gives the same result.

use std::time::Duration;

use super::super::{AfterFailover, Provider, Rules, Settings, names};
use super::{assert_complete, everything, lookup, read, resolve};
use crate::connection::Secret;
use crate::instance::{Builder, env};

#[test]
fn nothing_set_is_the_default() {
    assert_eq!(format!("{:?}", read(&[])), format!("{:?}", Settings::default()));
}

#[test]
fn every_variable_reaches_its_field() {
    // (variable, value, what `Debug` then shows beside the defaults)
    let table = [
        ("REDIS_URL", "redis://localhost:7000/2", "url: Some(\"redis://localhost:7000/2\")"),
        ("REDIS_HOST", "cache", "host: Some(\"cache\")"),
        ("REDIS_PORT", "7000", "port: Some(7000)"),
        ("REDIS_USERNAME", "shop", "username: Some(\"shop\")"),
        ("REDIS_PASSWORD", "s3cret", "password: Some([hidden])"),
        ("REDIS_DB", "3", "db: Some(3)"),
        ("REDIS_TLS", "yes", "tls: Some(true)"),
        ("REDIS_TLS_CA_FILE", "/ca.pem", "tls_ca_file: Some(\"/ca.pem\")"),
        ("REDIS_TLS_CERT_FILE", "/cert.pem", "tls_cert_file: Some(\"/cert.pem\")"),
        ("REDIS_TLS_KEY_FILE", "/key.pem", "tls_key_file: Some(\"/key.pem\")"),
        ("REDIS_KEY_PREFIX", "shop", "key_prefix: Some(\"shop\")"),
        ("REDIS_POOL_SIZE", "9", "pool_size: 9"),
        ("REDIS_CLUSTER_MODE", "on", "cluster_mode: Some(true)"),
        ("REDIS_CLUSTER_NODES", "a:1, b:2,", "cluster_nodes: [\"a:1\", \"b:2\"]"),
        ("REDIS_READ_REPLICAS", "1", "read_replicas: Some(true)"),
        ("REDIS_READ_REPLICA_URLS", "redis://r:1", "read_replica_urls: [\"redis://r:1\"]"),
        ("REDIS_SENTINEL_URLS", "redis://s:1", "sentinel_urls: [\"redis://s:1\"]"),
        ("REDIS_SENTINEL_MASTER", "main", "sentinel_master: Some(\"main\")"),
        ("REDIS_LOCK_URLS", "redis://l:1", "lock_urls: [\"redis://l:1\"]"),
        ("REDIS_CONNECT_TIMEOUT", "2000", "connect_timeout: 2s"),
        ("REDIS_COMMAND_TIMEOUT", "1m 30s", "command_timeout: 90s"),
        ("REDIS_MAX_RETRIES", "0", "max_retries: 0"),
        ("REDIS_ENABLE_AUTO_PIPELINING", "OFF", "enable_auto_pipelining: false"),
        ("REDIS_MAX_MEMORY", "1gb", "max_memory: Some(1073741824)"),
        ("REDIS_PROVIDER", "Upstash", "provider: Some(Upstash)"),
        ("UPSTASH_REDIS_REST_URL", "https://x.io", "upstash_redis_rest_url: Some(\"https://x.io/\")"),
        ("UPSTASH_REDIS_REST_TOKEN", "s3cret", "upstash_redis_rest_token: Some([hidden])"),
        ("KEYLATCH_MEMORY_LIMIT", "64mb", "memory_limit: 67108864"),
        ("KEYLATCH_LOCAL_MEMORY_LIMIT", "8mb", "local_memory_limit: 8388608"),
        ("KEYLATCH_OUTAGE_MEMORY_LIMIT", "0", "outage_memory_limit: 0"),
        ("KEYLATCH_AFTER_FAILOVER", "distrust", "after_failover: Distrust"),
        ("KEYLATCH_FAILOVER_REPLAY", "2m", "failover_replay: 120s"),
        ("KEYLATCH_CACHE_TIMEOUT", "250ms", "cache_timeout: 250ms"),
        ("KEYLATCH_LEASE", "7s", "lease: 7s"),
        ("KEYLATCH_LOCK_THREAD", "on", "lock_thread: true"),
        ("KEYLATCH_BREAKER_FAILURE_RATE", "0.25", "breaker_failure_rate: 0.25"),
        ("KEYLATCH_BREAKER_MINIMUM_CALLS", "7", "breaker_minimum_calls: 7"),
        ("KEYLATCH_BREAKER_WINDOW", "1s", "breaker_window: 1s"),
    ];
    for (variable, value, shown) in table {
        let text = format!("{:?}", read(&[(variable, value)]));
        assert!(text.contains(&format!(" {shown},")), "{variable}: {shown} in {text}");
    }
    let tested: Vec<_> = table.iter().map(|(variable, ..)| *variable).collect();
    assert_complete(&tested);
    assert_eq!(tested.len(), names::ALL.len());
}

#[test]
fn secrets_reach_their_fields() {
    let settings = read(&[("REDIS_PASSWORD", " \"s3cret\" "), ("UPSTASH_REDIS_REST_TOKEN", "'t0ken'")]);
    assert_eq!(settings.password, Some(Secret::new("s3cret")));
    assert_eq!(settings.upstash_redis_rest_token, Some(Secret::new("t0ken")));
}

#[test]
fn empty_is_unset_and_quotes_are_removed() {
    let all: Vec<_> = names::ALL.iter().map(|setting| (setting.variable, " '' ")).collect();
    assert_eq!(format!("{:?}", read(&all)), format!("{:?}", Settings::default()));
    assert_eq!(read(&[("REDIS_POOL_SIZE", " \"7\"\n")]).pool_size, 7);
    // Spaces inside quotes are meant.
    assert_eq!(read(&[("REDIS_PASSWORD", "' a '")]).password, Some(Secret::new(" a ")));
}

#[test]
fn sizes_have_the_units_of_redis() {
    for (text, bytes) in
        [("1k", 1000), ("1kb", 1024), ("64 MB", 64 << 20), ("2m", 2_000_000), ("1gb", 1 << 30)]
    {
        assert_eq!(read(&[("KEYLATCH_MEMORY_LIMIT", text)]).memory_limit, bytes, "{text}");
    }
}

#[test]
fn examples_are_good_values() {
    let judged_elsewhere = ["REDIS_TLS_CA_FILE", "REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE"];
    for setting in names::ALL.iter().filter(|setting| !judged_elsewhere.contains(&setting.variable)) {
        let (_, faults) = env::read(lookup(&[(setting.variable, setting.example)]));
        assert!(faults.error().is_none(), "{setting:?}");
    }
}

/// Every variable, and what the builder has for it, in groups that go together.
#[test]
fn builder_and_environment_agree() {
    let mut both = Both::default();
    one_server(&mut both);
    topologies(&mut both);
    #[cfg(feature = "tls")]
    encryption(&mut both);
    #[cfg(feature = "upstash")]
    upstash(&mut both);
    both.agree(
        &[("REDIS_PROVIDER", "local"), ("KEYLATCH_LOCK_THREAD", "true")],
        &Builder::default().provider(Provider::Local).lock_thread(),
    );
    if !cfg!(feature = "tls") {
        let files = ["REDIS_TLS_CA_FILE", "REDIS_TLS_CERT_FILE", "REDIS_TLS_KEY_FILE"];
        both.variables.extend(files);
    }
    if !cfg!(feature = "upstash") {
        both.variables.extend(["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"]);
    }
    assert_complete(&both.variables);
    // It is the default, where nothing else is configured.
    assert_same(&[], &Builder::default().provider(Provider::Local));
}

/// What was set both ways.
#[derive(Default)]
struct Both {
    variables: Vec<&'static str>,
}

impl Both {
    /// Each field is the same, and so is all that follows from them.
    fn agree(&mut self, by_env: &[(&'static str, &str)], by_code: &Builder) {
        assert_same(by_env, by_code);
        assert_eq!(format!("{:?}", Builder::from(read(by_env))), format!("{by_code:?}"));
        for &(variable, value) in by_env {
            let set = format!("{:?}", read(&[(variable, value)]));
            assert_ne!(set, format!("{:?}", Settings::default()), "{variable}: the default shows nothing");
            self.variables.push(variable);
        }
    }
}

fn one_server(both: &mut Both) {
    let second = Duration::from_secs(1);
    let by_env = [
        ("REDIS_URL", "redis://cache:7000"),
        ("REDIS_USERNAME", "shop"),
        ("REDIS_PASSWORD", "s3cret"),
        ("REDIS_DB", "2"),
        ("REDIS_TLS", "false"),
        ("REDIS_KEY_PREFIX", "shop"),
        ("REDIS_POOL_SIZE", "9"),
        ("REDIS_READ_REPLICAS", "true"),
        ("REDIS_READ_REPLICA_URLS", "r1:1,redis://u:p@r2:2"),
        ("REDIS_LOCK_URLS", "l1:1,l2:2,l3:3"),
        ("REDIS_CONNECT_TIMEOUT", "1s"),
        ("REDIS_COMMAND_TIMEOUT", "1s"),
        ("REDIS_MAX_RETRIES", "1"),
        ("REDIS_ENABLE_AUTO_PIPELINING", "false"),
        ("REDIS_MAX_MEMORY", "1kb"),
        ("KEYLATCH_MEMORY_LIMIT", "1kb"),
        ("KEYLATCH_LOCAL_MEMORY_LIMIT", "2kb"),
        ("KEYLATCH_OUTAGE_MEMORY_LIMIT", "1kb"),
        ("KEYLATCH_AFTER_FAILOVER", "trust"),
        ("KEYLATCH_FAILOVER_REPLAY", "1s"),
        ("KEYLATCH_CACHE_TIMEOUT", "1s"),
        ("KEYLATCH_LEASE", "1s"),
        ("KEYLATCH_BREAKER_FAILURE_RATE", "1"),
        ("KEYLATCH_BREAKER_MINIMUM_CALLS", "1"),
        ("KEYLATCH_BREAKER_WINDOW", "1s"),
    ];
    let by_code = Builder::default()
        .redis_url("redis://cache:7000")
        .username("shop")
        .password("s3cret")
        .db(2)
        .tls(false)
        .namespace("shop")
        .pool_size(9)
        .read_replicas(["r1:1", "redis://u:p@r2:2"])
        .lock_urls(["l1:1", "l2:2", "l3:3"])
        .connect_timeout(second)
        .command_timeout(second)
        .max_retries(1)
        .enable_auto_pipelining(false)
        .max_memory(1024)
        .memory_limit(1024)
        .local_memory_limit(2048)
        .outage_memory_limit(1024)
        .after_failover(AfterFailover::Trust)
        .failover_replay(second)
        .cache_timeout(second)
        .lease(second)
        .breaker_failure_rate(1.0)
        .breaker_minimum_calls(1)
        .breaker_window(second);
    both.agree(&by_env, &by_code);
}

fn topologies(both: &mut Both) {
    let nodes = [("REDIS_CLUSTER_NODES", "a:1,b:2"), ("REDIS_CLUSTER_MODE", "true")];
    both.agree(&nodes, &Builder::default().cluster(["a:1", "b:2"]));
    let seed = [("REDIS_HOST", "a"), ("REDIS_PORT", "1"), ("REDIS_CLUSTER_MODE", "true")];
    both.agree(&seed, &Builder::default().host("a").port(1).cluster([] as [&str; 0]));
    let sentinel = [("REDIS_SENTINEL_URLS", "a:1,b:2"), ("REDIS_SENTINEL_MASTER", "main")];
    both.agree(&sentinel, &Builder::default().sentinel(["a:1", "b:2"], "main"));
}

/// Whether the files are used is not seen here: the tests against real servers would not be let in.
#[cfg(feature = "tls")]
fn encryption(both: &mut Both) {
    let directory = tempfile::tempdir().expect("a temporary directory");
    let file = |name: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, "-----BEGIN CERTIFICATE-----").expect("a writable file");
        path.into_os_string().into_string().expect("a readable path")
    };
    let (ca, cert, key) = (file("ca.pem"), file("client.pem"), file("client.key"));
    let by_env = [
        ("REDIS_HOST", "cache"),
        ("REDIS_TLS", "true"),
        ("REDIS_TLS_CA_FILE", &*ca),
        ("REDIS_TLS_CERT_FILE", &*cert),
        ("REDIS_TLS_KEY_FILE", &*key),
    ];
    let by_code = Builder::default().host("cache").tls(true);
    both.agree(&by_env, &by_code.tls_ca_file(&ca).tls_cert_file(&cert).tls_key_file(&key));
}

#[cfg(feature = "upstash")]
fn upstash(both: &mut Both) {
    let by_code = Builder::default().upstash("https://x.io", "s3cret");
    let rest = [("UPSTASH_REDIS_REST_URL", "https://x.io"), ("UPSTASH_REDIS_REST_TOKEN", "s3cret")];
    // The builder's method says which kind is meant as well.
    assert_same(&rest, &by_code);
    assert_same(&rest, &by_code.clone().provider(Provider::Upstash));
    both.agree(&[rest[0], rest[1], ("REDIS_PROVIDER", "upstash")], &by_code);
}

fn assert_same(by_env: &[(&str, &str)], by_code: &Builder) {
    let by_env = resolve(by_env).expect("good settings");
    let by_code = by_code.resolve().expect("good settings");
    assert_eq!(everything(&by_env), everything(&by_code));
    assert_eq!((by_env.tuning, by_env.lock_thread), (by_code.tuning, by_code.lock_thread));
    assert_eq!(by_env.tuning.rules, Rules::default());
}
