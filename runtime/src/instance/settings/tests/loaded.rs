//! Settings from a loader that speaks serde.

use std::time::Duration;

use serde_json::{from_value, json};

use super::super::{AfterFailover, Provider, Settings};
use super::{SECRET, read};
use crate::connection::Secret;
use crate::instance::{Builder, Keylatch};

#[test]
fn an_empty_document_is_the_default() {
    let settings: Settings = from_value(json!({})).expect("nothing is needed");
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

#[test]
fn fields_and_variables_say_the_same() {
    let settings: Settings = from_value(json!({
        "url": "redis://cache", "password": SECRET, "db": 2, "tls": false, "key_prefix": "shop", "pool_size": 9,
        "cluster_mode": false, "lock_urls": ["a:1", "b:2"], "read_replica_urls": "c:3, d:4", "connect_timeout": "1h 30m",
        "command_timeout": 250, "enable_auto_pipelining": false, "max_memory": "1kb", "provider": "local",
        "memory_limit": 1024, "local_memory_limit": "1mb", "outage_memory_limit": "2mb", "after_failover": "trust", "breaker_failure_rate": 0.25,
    }))
    .expect("good settings");
    assert_eq!(settings.password, Some(Secret::new(SECRET)));
    assert_eq!(settings.provider, Some(Provider::Local));
    assert_eq!(settings.after_failover, AfterFailover::Trust);
    assert_eq!(settings.connect_timeout, Duration::from_secs(90 * 60));
    let by_env = read(&[
        ("REDIS_URL", "redis://cache"),
        ("REDIS_PASSWORD", SECRET),
        ("REDIS_DB", "2"),
        ("REDIS_TLS", "false"),
        ("REDIS_KEY_PREFIX", "shop"),
        ("REDIS_POOL_SIZE", "9"),
        ("REDIS_CLUSTER_MODE", "false"),
        ("REDIS_LOCK_URLS", "a:1,b:2"),
        ("REDIS_READ_REPLICA_URLS", "c:3,d:4"),
        ("REDIS_CONNECT_TIMEOUT", "5400000"),
        ("REDIS_COMMAND_TIMEOUT", "250"),
        ("REDIS_ENABLE_AUTO_PIPELINING", "false"),
        ("REDIS_MAX_MEMORY", "1024"),
        ("REDIS_PROVIDER", "local"),
        ("KEYLATCH_MEMORY_LIMIT", "1kb"),
        ("KEYLATCH_LOCAL_MEMORY_LIMIT", "1mb"),
        ("KEYLATCH_OUTAGE_MEMORY_LIMIT", "2mb"),
        ("KEYLATCH_AFTER_FAILOVER", "trust"),
        ("KEYLATCH_BREAKER_FAILURE_RATE", "0.25"),
    ]);
    assert_eq!(format!("{settings:?}"), format!("{by_env:?}"));
}

#[test]
fn unknown_fields_are_errors() {
    let error = from_value::<Settings>(json!({ "redis_url": "redis://cache" })).unwrap_err().to_string();
    assert!(error.contains("unknown field `redis_url`"), "{error}");
    assert!(from_value::<Settings>(json!({ "origins": {} })).is_err(), "that one is ours");
}

#[test]
fn bad_values_show_no_secret() {
    for document in [
        json!({ "password": 12345 }),
        json!({ "password": 12345.5 }),
        json!({ "password": true }),
        json!({ "password": [12345] }),
        json!({ "upstash_redis_rest_token": -12345 }),
        json!({ "command_timeout": "12345 elephants" }),
        json!({ "memory_limit": "12345 elephants" }),
        json!({ "max_memory": "12345 elephants" }),
        json!({ "after_failover": {} }),
    ] {
        let error = from_value::<Settings>(document.clone()).expect_err("bad values").to_string();
        assert!(!error.contains("12345"), "{document}: {error}");
    }
}

#[test]
fn null_is_unset() {
    let settings: Settings =
        from_value(json!({ "url": null, "password": null, "max_memory": null })).expect("good settings");
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

#[test]
fn a_builder_is_loaded_the_same_way() {
    let builder: Builder = from_value(json!({ "key_prefix": "shop" })).expect("good settings");
    assert_eq!(builder.build().expect("good settings").namespace(), "shop");
    let settings: Settings = from_value(json!({ "key_prefix": "a b" })).expect("text");
    let error = Keylatch::from_settings(settings).unwrap_err().to_string();
    assert!(error.contains("key_prefix: "), "{error}");
}
