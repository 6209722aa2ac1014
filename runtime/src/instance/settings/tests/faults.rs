//! Bad values: one error that names every setting at fault and shows a good value, never the bad one.

use super::super::names;
use super::super::{Settings, env};
use super::{SECRET, assert_complete, fault, faults, lookup, resolve};
use crate::instance::{Builder, Rules};

/// Bad values of every variable that can have one by itself; the secret stands for what nobody may see.
const BAD: &[(&str, &str)] = &[
    ("REDIS_URL", "s3cret"),
    ("REDIS_URL", "postgres://:s3cret@localhost"),
    ("REDIS_URL", "redis://:s3cret@localhost:port"),
    ("REDIS_URL", "redis://:s3cret@localhost/nine"),
    ("REDIS_URL", "redis://:s3/s3cret@localhost"),
    ("REDIS_URL", "redis://localhost/0#s3cret"),
    ("REDIS_URL", "redis://:s3cret@0.0.0.0"),
    ("REDIS_URL", "unix:///run/redis.sock?pass=s3cret&db=nine"),
    ("REDIS_HOST", "redis://:s3cret@localhost"),
    ("REDIS_HOST", "localhost:6379"),
    ("REDIS_PORT", "s3cret"),
    ("REDIS_PORT", "0"),
    ("REDIS_PORT", "65536"),
    ("REDIS_DB", "s3cret"),
    ("REDIS_DB", "-1"),
    ("REDIS_TLS", "s3cret"),
    ("REDIS_TLS_CA_FILE", "/no/such/file"),
    ("REDIS_TLS_CERT_FILE", "/no/such/file"),
    ("REDIS_TLS_KEY_FILE", "/no/such/file"),
    ("REDIS_KEY_PREFIX", "s3cret and space"),
    ("REDIS_POOL_SIZE", "s3cret"),
    ("REDIS_POOL_SIZE", "0"),
    ("REDIS_POOL_SIZE", "1025"),
    ("REDIS_CLUSTER_MODE", "s3cret"),
    ("REDIS_CLUSTER_NODES", "a:1,:s3cret@b:2"),
    ("REDIS_CLUSTER_NODES", "a:1,b:s3cret"),
    ("REDIS_CLUSTER_NODES", "redis://:s3cret@b:2/1"),
    ("REDIS_READ_REPLICAS", "s3cret"),
    ("REDIS_LOCK_URLS", "http://:s3cret@b"),
    ("REDIS_LOCK_URLS", "a:1,redis://:s3cret@a:1"),
    ("REDIS_LOCK_URLS", "a:1,redis://:s3cret@b:2"),
    ("REDIS_LOCK_URLS", "a:1,b:2,c:3,redis://:s3cret@d:4"),
    ("REDIS_CONNECT_TIMEOUT", "s3cret"),
    ("REDIS_CONNECT_TIMEOUT", "0"),
    ("REDIS_COMMAND_TIMEOUT", "10 parsecs"),
    ("REDIS_COMMAND_TIMEOUT", "99999999999999999999"),
    ("REDIS_MAX_RETRIES", "s3cret"),
    ("REDIS_ENABLE_AUTO_PIPELINING", "s3cret"),
    ("REDIS_MAX_MEMORY", "s3cret"),
    ("REDIS_MAX_MEMORY", "0"),
    ("REDIS_PROVIDER", "s3cret"),
    ("KEYLATCH_MEMORY_LIMIT", "64 elephants"),
    ("KEYLATCH_MEMORY_LIMIT", "0"),
    ("KEYLATCH_LOCAL_MEMORY_LIMIT", "64 megs"),
    ("KEYLATCH_OUTAGE_MEMORY_LIMIT", "99999999999gb"),
    ("KEYLATCH_AFTER_FAILOVER", "s3cret"),
    ("KEYLATCH_FAILOVER_REPLAY", "s3cret"),
    ("KEYLATCH_CACHE_TIMEOUT", "0ms"),
    ("KEYLATCH_LEASE", "1us"),
    ("KEYLATCH_LOCK_THREAD", "s3cret"),
    ("KEYLATCH_BREAKER_FAILURE_RATE", "s3cret"),
    ("KEYLATCH_BREAKER_FAILURE_RATE", "0"),
    ("KEYLATCH_BREAKER_FAILURE_RATE", "1.1"),
    ("KEYLATCH_BREAKER_FAILURE_RATE", "NaN"),
    ("KEYLATCH_BREAKER_MINIMUM_CALLS", "0"),
    ("KEYLATCH_BREAKER_WINDOW", "s3cret"),
];

/// Bad values that are looked at only where another variable makes them matter: (the other one, variable, value).
const BAD_IN_COMPANY: &[((&str, &str), &str, &str)] = &[
    (("REDIS_SENTINEL_MASTER", "main"), "REDIS_SENTINEL_URLS", "redis://:s3cret@a:port"),
    (("REDIS_SENTINEL_MASTER", "main"), "REDIS_SENTINEL_URLS", "redis://:s3cret@a/1"),
    (("REDIS_SENTINEL_URLS", "redis://a"), "REDIS_SENTINEL_MASTER", "the s3cret"),
    (("REDIS_URL", "redis://:s3cret@a/1"), "REDIS_READ_REPLICA_URLS", "b:s3cret"),
    (("REDIS_URL", "redis://:s3cret@a/1"), "REDIS_READ_REPLICA_URLS", "redis://b/2"),
];

#[cfg(feature = "upstash")]
const BAD_FOR_UPSTASH: &[((&str, &str), &str, &str)] = &[
    (REST_TOKEN, "UPSTASH_REDIS_REST_URL", "x s3cret"),
    (REST_TOKEN, "UPSTASH_REDIS_REST_URL", "redis://x.io"),
    (REST_TOKEN, "UPSTASH_REDIS_REST_URL", "https://:s3cret@x.io"),
    (REST_TOKEN, "UPSTASH_REDIS_REST_URL", "https://x.io?_token=s3cret"),
    (REST_TOKEN, "UPSTASH_REDIS_REST_URL", "https://x.io#s3cret"),
    (REST, "UPSTASH_REDIS_REST_TOKEN", "s3cret token"),
];

/// Not compiled in, none of their values is good.
#[cfg(not(feature = "upstash"))]
const BAD_FOR_UPSTASH: &[((&str, &str), &str, &str)] = &[];

/// What no value is bad for, and why.
const NEVER_BAD: &[(&str, &str)] = &[
    ("REDIS_USERNAME", "the server alone knows its users, who may be called anything"),
    ("REDIS_PASSWORD", "the server alone knows it, and it may be anything"),
];

#[test]
fn a_bad_value_names_its_variable_and_a_good_example() {
    for &(variable, value) in BAD {
        names_its_variable(&[(variable, value)], variable);
    }
}

#[test]
fn bad_values_that_need_company() {
    for &(other, variable, value) in BAD_IN_COMPANY.iter().chain(BAD_FOR_UPSTASH) {
        names_its_variable(&[other, (variable, value)], variable);
    }
}

fn names_its_variable(vars: &[(&str, &str)], variable: &str) {
    assert_eq!(faults(vars), [variable], "{vars:?}");
    let setting = names::ALL.iter().find(|setting| setting.variable == variable).expect("a known variable");
    let text = fault(vars, setting);
    assert!(text.contains(setting.example), "{vars:?}: {text}");
}

/// A variable that is added later has its bad values here, or the reason why there is none.
#[test]
fn every_variable_has_a_bad_value_or_none_can_be() {
    let alone = BAD.iter().map(|(variable, _)| *variable);
    let in_company = BAD_IN_COMPANY.iter().chain(BAD_FOR_UPSTASH).map(|(_, variable, _)| *variable);
    let mut listed: Vec<_> = alone.chain(in_company).collect();
    if !cfg!(feature = "upstash") {
        listed.extend(["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"]);
    }
    for &(variable, why) in NEVER_BAD {
        assert!(!listed.contains(&variable), "{variable} has a bad value, so it is not true that {why}");
        // The first of two that are called the same counts.
        let vars = [(variable, "all : of / this @ and # that"), ("REDIS_HOST", "a"), ("REDIS_PASSWORD", "a")];
        assert!(resolve(&vars).is_ok(), "{variable}");
        listed.push(variable);
    }
    assert_complete(&listed);
}

#[test]
fn a_password_with_special_characters_gets_a_hint() {
    for url in
        ["redis://:pa/s3cret@localhost", "redis://:pa#s3cret@localhost", "redis://:pa?s3cret@localhost"]
    {
        let text = fault(&[("REDIS_URL", url)], &names::URL);
        assert!(text.contains("percent-encoded"), "{text}");
        assert!(!text.contains(SECRET), "{text}");
    }
}

#[test]
fn all_faults_come_in_one_error() {
    let vars = [
        ("REDIS_URL", "s3cret"),
        ("REDIS_HOST", "a"),
        ("REDIS_POOL_SIZE", "many"),
        ("REDIS_TLS_CA_FILE", "/no/such/file"),
        ("KEYLATCH_LEASE", "0"),
        ("REDIS_KEY_PREFIX", " a b "),
    ];
    let expected = [
        "REDIS_POOL_SIZE",
        "KEYLATCH_LEASE",
        "REDIS_KEY_PREFIX",
        "REDIS_TLS_CA_FILE",
        "REDIS_URL",
        "REDIS_URL",
    ];
    assert_eq!(faults(&vars), expected);
}

#[test]
fn a_fault_has_no_second_fault_behind_it() {
    // What could not be read contradicts nothing, and lacks nothing.
    assert_eq!(faults(&[("REDIS_PROVIDER", "both"), ("REDIS_URL", "redis://a"), REST]), ["REDIS_PROVIDER"]);
    assert_eq!(faults(&[("REDIS_TLS", "maybe"), ("REDIS_TLS_CA_FILE", file!())]).len(), 2);
    assert_eq!(
        faults(&[("REDIS_TLS_CERT_FILE", "/no/such/file")]),
        ["REDIS_TLS_CERT_FILE"],
        "nor that there is no key"
    );
}

const REST: (&str, &str) = ("UPSTASH_REDIS_REST_URL", "https://x.io");
#[cfg(feature = "upstash")]
const REST_TOKEN: (&str, &str) = ("UPSTASH_REDIS_REST_TOKEN", "t0ken");

#[test]
fn what_is_not_utf8_is_a_fault() {
    #[cfg(unix)]
    {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        let lookup = |name| (name == "REDIS_PASSWORD").then(|| OsString::from_vec(vec![0xff]));
        let (settings, faults) = env::read(lookup);
        let error = settings.resolve(Rules::default(), faults).unwrap_err();
        assert!(error.to_string().contains("REDIS_PASSWORD: not UTF-8"), "{error}");
    }
}

#[test]
fn files_that_cannot_be_read_are_named() {
    for setting in [&names::TLS_CA_FILE, &names::TLS_CERT_FILE, &names::TLS_KEY_FILE] {
        let text = fault(&[(setting.variable, "/no/such/file")], setting);
        assert!(text.contains("/no/such/file"), "{text}");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    let path = file.path().to_str().expect("a readable path");
    assert!(fault(&[("REDIS_TLS_CA_FILE", path)], &names::TLS_CA_FILE).contains("PEM"));
}

#[test]
fn settings_are_called_as_their_writer_called_them() {
    let named = |builder: Builder| {
        let error = builder.resolve().unwrap_err();
        error.context().map(|(name, _)| name).collect::<Vec<_>>()
    };
    assert_eq!(named(Builder::default().redis_url("x")), ["redis_url"]);
    assert_eq!(named(Builder::default().namespace("a b").pool_size(0)), ["pool_size", "namespace"]);
    assert_eq!(named(Builder::default().sentinel(["a:b"], "main")), ["sentinel"]);

    let fields = Settings { url: Some("x".to_owned()), pool_size: 0, ..Settings::default() };
    assert_eq!(named(fields.into()), ["pool_size", "url"]);

    let (settings, _) = env::read(lookup(&[("REDIS_URL", "x"), ("REDIS_MAX_MEMORY", "0")]));
    assert_eq!(
        named(Builder::from(settings).redis_url("y").pool_size(0)),
        ["pool_size", "REDIS_MAX_MEMORY", "redis_url"]
    );
}

#[test]
fn what_is_not_compiled_in_says_which_feature_is_missing() {
    let _ = (resolve, &names::REST_URL);
    #[cfg(not(feature = "tls"))]
    {
        for vars in [
            &[("REDIS_URL", "rediss://:s3cret@a")][..],
            &[("REDIS_HOST", "a"), ("REDIS_TLS", "true")],
            &[("REDIS_HOST", "a"), ("REDIS_TLS_CA_FILE", "/etc/hostname")],
        ] {
            let error = resolve(vars).unwrap_err().to_string();
            assert!(error.contains("feature `tls`") || error.contains("PEM"), "{error}");
            assert!(!error.contains(SECRET), "{error}");
        }
    }
    #[cfg(not(feature = "upstash"))]
    {
        let vars = [REST, ("UPSTASH_REDIS_REST_TOKEN", SECRET)];
        assert!(fault(&vars, &names::REST_URL).contains("feature `upstash`"));
    }
    #[cfg(feature = "upstash")]
    {
        assert_eq!(
            faults(&[("UPSTASH_REDIS_REST_URL", "x s3cret"), ("UPSTASH_REDIS_REST_TOKEN", "s3cret token")]),
            ["UPSTASH_REDIS_REST_URL", "UPSTASH_REDIS_REST_TOKEN"]
        );
    }
}
