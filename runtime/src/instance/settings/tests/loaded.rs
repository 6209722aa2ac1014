//! Settings from a loader that speaks serde.

use std::time::Duration;

use serde_json::{Value, from_value, json};

use super::super::{AfterFailover, Provider, Settings, names};
use super::{SECRET, assert_complete, read};
use crate::connection::Secret;
use crate::instance::{Builder, Keylatch};

#[test]
fn an_empty_document_is_the_default() {
    let settings: Settings = from_value(json!({})).expect("nothing is needed");
    assert_eq!(format!("{settings:?}"), format!("{:?}", Settings::default()));
}

/// (variable, what a loader has in its field, what the environment says)
fn every_field() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        ("REDIS_URL", json!("redis://cache"), "redis://cache"),
        ("REDIS_HOST", json!("cache"), "cache"),
        ("REDIS_PORT", json!(7000), "7000"),
        ("REDIS_USERNAME", json!("shop"), "shop"),
        ("REDIS_PASSWORD", json!(SECRET), SECRET),
        ("REDIS_DB", json!(2), "2"),
        ("REDIS_TLS", json!(false), "false"),
        ("REDIS_TLS_CA_FILE", json!("/ca.pem"), "/ca.pem"),
        ("REDIS_TLS_CERT_FILE", json!("/cert.pem"), "/cert.pem"),
        ("REDIS_TLS_KEY_FILE", json!("/key.pem"), "/key.pem"),
        ("REDIS_KEY_PREFIX", json!("shop"), "shop"),
        ("REDIS_POOL_SIZE", json!(9), "9"),
        ("REDIS_CLUSTER_MODE", json!(false), "false"),
        ("REDIS_CLUSTER_NODES", json!(["a:1", "b:2"]), "a:1,b:2"),
        ("REDIS_READ_REPLICAS", json!(true), "true"),
        ("REDIS_READ_REPLICA_URLS", json!("c:3, d:4"), "c:3,d:4"),
        ("REDIS_SENTINEL_URLS", json!(["e:5"]), "e:5"),
        ("REDIS_SENTINEL_MASTER", json!("main"), "main"),
        ("REDIS_LOCK_URLS", json!(["a:1", "b:2"]), "a:1,b:2"),
        ("REDIS_CONNECT_TIMEOUT", json!("1h 30m"), "5400000"),
        ("REDIS_COMMAND_TIMEOUT", json!(250), "250"),
        ("REDIS_MAX_RETRIES", json!(0), "0"),
        ("REDIS_ENABLE_AUTO_PIPELINING", json!(false), "false"),
        ("REDIS_MAX_MEMORY", json!("1kb"), "1024"),
        ("REDIS_PROVIDER", json!("local"), "local"),
        ("UPSTASH_REDIS_REST_URL", json!("https://x.io"), "https://x.io"),
        ("UPSTASH_REDIS_REST_TOKEN", json!("t0ken"), "t0ken"),
        ("KEYLATCH_MEMORY_LIMIT", json!(1024), "1kb"),
        ("KEYLATCH_LOCAL_MEMORY_LIMIT", json!("1mb"), "1mb"),
        ("KEYLATCH_OUTAGE_MEMORY_LIMIT", json!("2mb"), "2mb"),
        ("KEYLATCH_AFTER_FAILOVER", json!("trust"), "trust"),
        ("KEYLATCH_FAILOVER_REPLAY", json!("2m"), "2m"),
        ("KEYLATCH_CACHE_TIMEOUT", json!(100), "100ms"),
        ("KEYLATCH_LEASE", json!("7s"), "7s"),
        ("KEYLATCH_LOCK_THREAD", json!(true), "true"),
        ("KEYLATCH_BREAKER_FAILURE_RATE", json!(0.25), "0.25"),
        ("KEYLATCH_BREAKER_MINIMUM_CALLS", json!(7), "7"),
        ("KEYLATCH_BREAKER_WINDOW", json!("1s"), "1s"),
    ]
}

fn load(fields: impl IntoIterator<Item = (String, Value)>) -> Settings {
    from_value(Value::Object(fields.into_iter().collect())).expect("good settings")
}

/// What an error calls a setting is what a loader calls it: a name that serde does not know is an error here.
#[test]
fn fields_and_variables_say_the_same() {
    let table = every_field();
    let variables: Vec<_> = table.iter().map(|(variable, ..)| *variable).collect();
    assert_complete(&variables);
    let (mut document, mut vars) = (Vec::new(), Vec::new());
    for (variable, value, text) in table {
        let setting = names::ALL.iter().find(|setting| setting.variable == variable).expect("a setting");
        let field = (setting.field.to_owned(), value);
        let (loaded, by_env) = (load([field.clone()]), read(&[(variable, text)]));
        assert_eq!(format!("{loaded:?}"), format!("{by_env:?}"), "{variable}");
        assert_ne!(format!("{loaded:?}"), format!("{:?}", Settings::default()), "{variable} shows nothing");
        assert_eq!(
            (loaded.faults().name(setting), by_env.faults().name(setting)),
            (setting.field, variable),
            "each is named as its writer named it"
        );
        document.push(field);
        vars.push((variable, text));
    }
    let settings = load(document);
    assert_eq!(format!("{settings:?}"), format!("{:?}", read(&vars)));
    assert_eq!(settings.password, Some(Secret::new(SECRET)));
    assert_eq!(settings.upstash_redis_rest_token, Some(Secret::new("t0ken")));
    assert_eq!(settings.provider, Some(Provider::Local));
    assert_eq!(settings.after_failover, AfterFailover::Trust);
    assert_eq!(settings.connect_timeout, Duration::from_secs(90 * 60));
}

/// The list of names is what most of these tests are complete by. This is what it is complete by.
#[test]
fn every_field_has_its_name_in_the_list() {
    let error = from_value::<Settings>(json!({ "unheard_of": 1 })).expect_err("no such field").to_string();
    // unknown field `unheard_of`, expected one of `url`, `host`, ..
    let mut fields: Vec<_> = error.split('`').skip(1).step_by(2).skip(1).collect();
    let mut names: Vec<_> = names::ALL.iter().map(|setting| setting.field).collect();
    fields.sort_unstable();
    names.sort_unstable();
    assert_eq!(fields, names, "{error}");
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
