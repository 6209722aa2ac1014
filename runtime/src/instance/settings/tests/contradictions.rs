//! Settings that cannot all be meant: an error that names both.

use super::super::names::{self, Setting};
use super::{fault, faults, resolve};

const URL: (&str, &str) = ("REDIS_URL", "redis://a");
const NODES: (&str, &str) = ("REDIS_CLUSTER_NODES", "a:1,b:2");
const CLUSTER: (&str, &str) = ("REDIS_CLUSTER_MODE", "true");
const SENTINELS: (&str, &str) = ("REDIS_SENTINEL_URLS", "redis://a");
const MASTER: (&str, &str) = ("REDIS_SENTINEL_MASTER", "main");
const REPLICAS: (&str, &str) = ("REDIS_READ_REPLICAS", "true");
const REPLICA_URLS: (&str, &str) = ("REDIS_READ_REPLICA_URLS", "redis://b");
const REST_URL: (&str, &str) = ("UPSTASH_REDIS_REST_URL", "https://x.io");
const REST_TOKEN: (&str, &str) = ("UPSTASH_REDIS_REST_TOKEN", "s3cret");

/// One fault, of `setting`, that names `other` and says `what`.
fn check(vars: &[(&str, &str)], setting: &Setting, other: &Setting, what: &str) {
    assert_eq!(faults(vars), [setting.variable], "{vars:?}");
    let text = fault(vars, setting);
    assert!(text.contains(&format!("`{}`", other.variable)), "{vars:?}: {text}");
    assert!(text.contains(what), "{vars:?}: {text}");
}

#[test]
fn a_url_and_its_parts() {
    check(&[URL, ("REDIS_HOST", "a")], &names::URL, &names::HOST, "remove one");
    check(&[URL, ("REDIS_PORT", "1")], &names::URL, &names::PORT, "remove one");
    let full = ("REDIS_URL", "redis://shop:s3cret@a/1");
    check(&[full, ("REDIS_USERNAME", "x")], &names::URL, &names::USERNAME, "remove it from one");
    check(&[full, ("REDIS_PASSWORD", "s3cret2")], &names::URL, &names::PASSWORD, "remove it from one");
    check(&[full, ("REDIS_DB", "2")], &names::URL, &names::DB, "remove it from one");
    let socket = ("REDIS_URL", "unix:///run/redis.sock?db=1&user=u&pass=s3cret");
    assert_eq!(
        faults(&[socket, ("REDIS_PASSWORD", "s3cret"), ("REDIS_DB", "1")]),
        ["REDIS_URL", "REDIS_URL"]
    );
}

#[test]
fn a_login_without_a_server() {
    check(&[("REDIS_PASSWORD", "s3cret")], &names::PASSWORD, &names::HOST, "which is not set");
    check(&[("REDIS_DB", "1")], &names::DB, &names::HOST, "which is not set");
    check(&[("REDIS_TLS", "true")], &names::TLS, &names::HOST, "which is not set");
    check(&[URL, ("REDIS_USERNAME", "shop")], &names::USERNAME, &names::PASSWORD, "which is not set");
    assert!(resolve(&[("REDIS_DB", "0"), ("REDIS_TLS", "false")]).is_ok(), "says nothing");
}

#[test]
fn clusters() {
    check(&[CLUSTER], &names::CLUSTER_MODE, &names::CLUSTER_NODES, "which is not set");
    check(&[NODES, ("REDIS_CLUSTER_MODE", "off")], &names::CLUSTER_MODE, &names::CLUSTER_NODES, "is off");
    check(&[NODES, URL], &names::URL, &names::CLUSTER_NODES, "remove one");
    check(&[NODES, ("REDIS_HOST", "a")], &names::CLUSTER_NODES, &names::HOST, "remove one");
    check(&[NODES, SENTINELS, MASTER], &names::CLUSTER_NODES, &names::SENTINEL_URLS, "remove one");
    check(&[NODES, REPLICAS], &names::READ_REPLICAS, &names::CLUSTER_NODES, "not supported");
    check(&[URL, CLUSTER, REPLICA_URLS], &names::READ_REPLICA_URLS, &names::CLUSTER_MODE, "not supported");
    check(&[NODES, ("REDIS_DB", "1")], &names::DB, &names::CLUSTER_NODES, "database 0");
    check(&[URL, CLUSTER, ("REDIS_DB", "1")], &names::DB, &names::CLUSTER_MODE, "database 0");
    assert_eq!(faults(&[CLUSTER, ("REDIS_URL", "redis://a/1")]), ["REDIS_URL"]);
    assert!(resolve(&[NODES, ("REDIS_DB", "0")]).is_ok());
}

#[test]
fn sentinels() {
    check(&[SENTINELS], &names::SENTINEL_URLS, &names::SENTINEL_MASTER, "which is not set");
    check(&[MASTER], &names::SENTINEL_MASTER, &names::SENTINEL_URLS, "which is not set");
    check(&[SENTINELS, MASTER, ("REDIS_HOST", "a")], &names::HOST, &names::SENTINEL_URLS, "name the server");
    check(
        &[SENTINELS, MASTER, REPLICA_URLS],
        &names::READ_REPLICA_URLS,
        &names::SENTINEL_URLS,
        "name the replicas",
    );
}

#[test]
fn replicas() {
    check(&[REPLICAS], &names::READ_REPLICAS, &names::URL, "which is not set");
    check(&[REPLICA_URLS], &names::READ_REPLICA_URLS, &names::URL, "which is not set");
    let off = ("REDIS_READ_REPLICAS", "false");
    check(&[URL, REPLICA_URLS, off], &names::READ_REPLICAS, &names::READ_REPLICA_URLS, "is off");
}

#[test]
fn providers() {
    check(&[URL, REST_URL, REST_TOKEN], &names::URL, &names::REST_URL, "`REDIS_PROVIDER`");
    check(&[NODES, REST_TOKEN], &names::CLUSTER_NODES, &names::REST_TOKEN, "`REDIS_PROVIDER`");
    assert!(resolve(&[URL, REST_URL, REST_TOKEN, ("REDIS_PROVIDER", "local")]).is_ok());
    #[cfg(feature = "upstash")]
    {
        let upstash = ("REDIS_PROVIDER", "upstash");
        assert_eq!(faults(&[upstash]), ["REDIS_PROVIDER", "REDIS_PROVIDER"]);
        check(&[upstash, REST_URL], &names::PROVIDER, &names::REST_TOKEN, "which is not set");
        check(&[upstash, REST_TOKEN], &names::PROVIDER, &names::REST_URL, "which is not set");
        check(&[REST_URL], &names::REST_URL, &names::REST_TOKEN, "which is not set");
        assert!(resolve(&[URL, REST_URL, REST_TOKEN, upstash]).is_ok());
    }
}

#[cfg(feature = "upstash")]
#[test]
fn what_means_nothing_over_rest() {
    let upstash = ("REDIS_PROVIDER", "upstash");
    let (memory, distrust) = (("REDIS_MAX_MEMORY", "1gb"), ("KEYLATCH_AFTER_FAILOVER", "distrust"));
    check(&[REST_URL, REST_TOKEN, memory], &names::MAX_MEMORY, &names::REST_URL, "remove it");
    check(&[REST_URL, REST_TOKEN, upstash, memory], &names::MAX_MEMORY, &names::PROVIDER, "remove it");
    check(&[REST_URL, REST_TOKEN, distrust], &names::AFTER_FAILOVER, &names::REST_URL, "`replay`");
    check(&[REST_URL, REST_TOKEN, upstash, distrust], &names::AFTER_FAILOVER, &names::PROVIDER, "`replay`");
    assert!(resolve(&[REST_URL, REST_TOKEN, ("KEYLATCH_AFTER_FAILOVER", "trust")]).is_ok());

    for (variable, value, setting) in [
        ("REDIS_USERNAME", "alice", &names::USERNAME),
        ("REDIS_PASSWORD", "hunter2", &names::PASSWORD),
        ("REDIS_DB", "3", &names::DB),
    ] {
        check(&[REST_URL, REST_TOKEN, (variable, value)], setting, &names::REST_URL, "remove it");
        check(&[REST_URL, REST_TOKEN, upstash, (variable, value)], setting, &names::PROVIDER, "remove it");
    }

    let directory = tempfile::tempdir().expect("a temporary directory");
    let path = directory.path().join("some.pem");
    std::fs::write(&path, "-----BEGIN CERTIFICATE-----").expect("a writable file");
    let path = path.to_str().expect("a readable path");
    let (ca, cert) = (("REDIS_TLS_CA_FILE", path), ("REDIS_TLS_CERT_FILE", path));
    let key = ("REDIS_TLS_KEY_FILE", path);
    check(&[REST_URL, REST_TOKEN, ca], &names::TLS_CA_FILE, &names::REST_URL, "remove it");
    check(&[REST_URL, REST_TOKEN, upstash, ca], &names::TLS_CA_FILE, &names::PROVIDER, "remove it");
    check(&[REST_URL, REST_TOKEN, upstash, cert, key], &names::TLS_CERT_FILE, &names::PROVIDER, "remove it");
    #[cfg(feature = "tls")]
    {
        let masters = ("REDIS_LOCK_URLS", "rediss://a,rediss://b,rediss://c");
        assert!(resolve(&[REST_URL, REST_TOKEN, masters, ca, cert, key]).is_ok(), "the masters use them");
    }

    // A Redis server that the provider has put aside takes with it what is for such a server, and nothing else.
    assert!(resolve(&[URL, REST_URL, REST_TOKEN, upstash, memory, ca]).is_ok());
    let aside = [URL, REST_URL, REST_TOKEN, upstash, distrust];
    check(&aside, &names::AFTER_FAILOVER, &names::PROVIDER, "`replay`");
    assert!(resolve(&[URL, REST_URL, REST_TOKEN, ("REDIS_PROVIDER", "local"), memory, distrust]).is_ok());

    let by_code = crate::Keylatch::builder().upstash("https://x.io", "s3cret");
    let distrusts = by_code.after_failover(crate::AfterFailover::Distrust).build();
    let text = distrusts.expect_err("nothing would ever be kept").to_string();
    assert!(text.contains("after_failover: ") && text.contains("`provider`"), "{text}");
}

#[cfg(feature = "tls")]
#[test]
fn encryption() {
    let pem = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(pem.path(), "-----BEGIN CERTIFICATE-----").expect("a file that can be written");
    let path = pem.path().to_str().expect("a readable path");
    let (on, off) = (("REDIS_TLS", "true"), ("REDIS_TLS", "false"));
    check(&[URL, on], &names::URL, &names::TLS, "`rediss://`");
    check(&[("REDIS_URL", "rediss://a"), off], &names::URL, &names::TLS, "`redis://`");
    check(&[("REDIS_LOCK_URLS", "redis://a"), on], &names::LOCK_URLS, &names::TLS, "`rediss://`");
    check(
        &[URL, ("REDIS_TLS_CA_FILE", path)],
        &names::TLS_CA_FILE,
        &names::TLS,
        "no server is reached by TLS",
    );
    let secure = ("REDIS_URL", "rediss://a");
    let (cert, key) = (("REDIS_TLS_CERT_FILE", path), ("REDIS_TLS_KEY_FILE", path));
    check(&[secure, cert], &names::TLS_CERT_FILE, &names::TLS_KEY_FILE, "which is not set");
    check(&[secure, key], &names::TLS_KEY_FILE, &names::TLS_CERT_FILE, "which is not set");
    assert!(resolve(&[secure, cert, key, ("REDIS_TLS_CA_FILE", path), on]).is_ok());
}

#[test]
fn a_thread_of_its_own_and_several_masters() {
    let (thread, masters) = (("KEYLATCH_LOCK_THREAD", "true"), ("REDIS_LOCK_URLS", "l1:1,l2:1,l3:1"));
    check(&[URL, thread, masters], &names::LOCK_THREAD, &names::LOCK_URLS, "not extended by a thread");
    assert!(resolve(&[URL, thread]).expect("one master").lock_thread);
    let by_code = crate::Keylatch::builder().redis_url("redis://a").lock_urls(["l1:1", "l2:1", "l3:1"]);
    let text = by_code.lock_thread().build().expect_err("the thread would ask the wrong server").to_string();
    assert!(text.contains("`lock_thread`") || text.contains("lock_thread:"), "{text}");
    assert!(text.contains("`lock_urls`"), "{text}");
}
