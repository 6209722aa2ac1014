//! What is done where nothing is said: each default, and that the README's table of variables knows the same.

use std::collections::BTreeMap;

use super::super::{Settings, Store};
use super::{assert_complete, read, remote, resolve, topology};
use crate::connection::{Limits, Topology};
use crate::key::Namespace;

/// (variable, what `Debug` shows of the default, what the README says: the value alone where there is one, else words among
/// others)
const DEFAULTS: &[(&str, &str, &str)] = &[
    ("REDIS_URL", "url: None", "the embedded store"),
    ("REDIS_HOST", "host: None", "`localhost`"),
    ("REDIS_PORT", "port: None", "6379"),
    ("REDIS_USERNAME", "username: None", "no login"),
    ("REDIS_PASSWORD", "password: None", "no login"),
    ("REDIS_DB", "db: None", "database 0"),
    ("REDIS_TLS", "tls: None", "`false`"),
    ("REDIS_TLS_CA_FILE", "tls_ca_file: None", "the system's"),
    ("REDIS_TLS_CERT_FILE", "tls_cert_file: None", "none"),
    ("REDIS_TLS_KEY_FILE", "tls_key_file: None", "none"),
    ("REDIS_KEY_PREFIX", "key_prefix: None", "`keylatch`"),
    ("REDIS_POOL_SIZE", "pool_size: 5", "5"),
    ("REDIS_CLUSTER_MODE", "cluster_mode: None", "`true` if there are nodes"),
    ("REDIS_CLUSTER_NODES", "cluster_nodes: []", "`REDIS_URL`"),
    ("REDIS_READ_REPLICAS", "read_replicas: None", "`true` if there are URLs"),
    ("REDIS_READ_REPLICA_URLS", "read_replica_urls: []", "the primary or the sentinels name them"),
    ("REDIS_SENTINEL_URLS", "sentinel_urls: []", "none"),
    ("REDIS_SENTINEL_MASTER", "sentinel_master: None", "none"),
    ("REDIS_LOCK_URLS", "lock_urls: []", "none"),
    ("REDIS_CONNECT_TIMEOUT", "connect_timeout: 10s", "`10s`"),
    ("REDIS_COMMAND_TIMEOUT", "command_timeout: 5s", "`5s`"),
    ("REDIS_MAX_RETRIES", "max_retries: 3", "3"),
    ("REDIS_ENABLE_AUTO_PIPELINING", "enable_auto_pipelining: true", "`true`"),
    ("REDIS_MAX_MEMORY", "max_memory: None", "not asked"),
    ("REDIS_PROVIDER", "provider: None", "the one that is"),
    ("UPSTASH_REDIS_REST_URL", "upstash_redis_rest_url: None", "none"),
    ("UPSTASH_REDIS_REST_TOKEN", "upstash_redis_rest_token: None", "none"),
    ("KEYLATCH_MEMORY_LIMIT", "memory_limit: 268435456", "`256mb`"),
    ("KEYLATCH_LOCAL_MEMORY_LIMIT", "local_memory_limit: 67108864", "`64mb`"),
    ("KEYLATCH_OUTAGE_MEMORY_LIMIT", "outage_memory_limit: 104857600", "`100mb`"),
    ("KEYLATCH_AFTER_FAILOVER", "after_failover: Replay", "`replay`"),
    ("KEYLATCH_FAILOVER_REPLAY", "failover_replay: 30s", "`30s`"),
    ("KEYLATCH_CACHE_TIMEOUT", "cache_timeout: 500ms", "`500ms`"),
    ("KEYLATCH_LEASE", "lease: 3s", "`3s`"),
    ("KEYLATCH_LOCK_THREAD", "lock_thread: false", "`false`"),
    ("KEYLATCH_BREAKER_FAILURE_RATE", "breaker_failure_rate: 0.5", "0.5"),
    ("KEYLATCH_BREAKER_MINIMUM_CALLS", "breaker_minimum_calls: 20", "20"),
    ("KEYLATCH_BREAKER_WINDOW", "breaker_window: 10s", "`10s`"),
];

#[test]
fn each_default_is_this_one() {
    let settings = format!("{:?}", Settings::default());
    for &(variable, shown, _) in DEFAULTS {
        assert!(settings.contains(&format!(" {shown},")), "{variable}: {shown} in {settings}");
    }
    let variables: Vec<_> = DEFAULTS.iter().map(|(variable, ..)| *variable).collect();
    assert_complete(&variables);
}

/// What is not set has no value of its own, and means one all the same.
#[test]
fn what_is_not_set_means_this() {
    let nothing = resolve(&[]).expect("nothing is needed");
    assert!(matches!(nothing.store, Store::Embedded { limit: 268_435_456 }), "{:?}", nothing.store);
    assert!(nothing.namespace.is_none() && nothing.lock_masters.is_empty() && !nothing.lock_thread);
    assert_eq!(Namespace::by_default().as_str(), "keylatch");
    for (variable, value, place) in
        [("REDIS_HOST", "cache", "cache:6379"), ("REDIS_PORT", "7000", "localhost:7000")]
    {
        let Topology::Single(address) = topology(&[(variable, value)]) else { panic!("{variable}") };
        assert_eq!(address.to_string(), place);
        assert_eq!((address.login(), address.database()), ((None, None), 0));
        #[cfg(feature = "tls")]
        assert!(!address.is_secure());
    }
    // What connections have that are made without settings.
    let limits = remote(&[("REDIS_URL", "redis://cache")]).limits;
    assert_eq!(format!("{limits:?}"), format!("{:?}", Limits::default()));
}

const README: &str = include_str!("../../../../README.md");

/// Each variable of the README's table, with what is said of its default.
fn documented() -> BTreeMap<&'static str, &'static str> {
    let mut documented = BTreeMap::new();
    let table = README.lines().skip_while(|line| !line.starts_with("| variable |"));
    // Below the line that separates the head.
    for row in table.skip(2).take_while(|line| line.starts_with('|')) {
        let cells: Vec<_> = row.split('|').map(str::trim).collect();
        let [_, variables, _, default, _] = cells[..] else { panic!("not three cells: {row}") };
        let variables: Vec<_> = variables.split(", ").map(|variable| variable.trim_matches('`')).collect();
        let parts: Vec<_> = default.split(", ").collect();
        for (index, variable) in variables.iter().enumerate() {
            // One for each of them, or one for all.
            let part = if parts.len() == variables.len() { parts[index] } else { default };
            assert!(documented.insert(*variable, part).is_none(), "{variable} is there twice");
        }
    }
    documented
}

#[test]
fn the_readme_says_the_same() {
    let documented = documented();
    assert_complete(&documented.keys().copied().collect::<Vec<_>>());
    for &(variable, shown, said) in DEFAULTS {
        let default = documented[variable];
        if shown.ends_with(": None") || shown.ends_with(": []") {
            assert!(default.contains(said), "{variable}: {said} in {default}");
            continue;
        }
        assert_eq!(default, said, "{variable}");
        // Whoever sets it to that changes nothing.
        let settings = read(&[(variable, said.trim_matches('`'))]);
        assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()), "{variable}");
    }
}
