//! Which servers the settings mean, with which login.

use super::{everything, remote, resolve, topology};
use crate::connection::{Address, Topology};
use crate::instance::settings::Store;

fn single(vars: &[(&str, &str)]) -> Address {
    match topology(vars) {
        Topology::Single(address) => address,
        other => panic!("{other:?}"),
    }
}

const LOGIN: (Option<&str>, Option<&str>) = (Some("shop"), Some("s3cret"));

#[test]
fn nothing_is_the_embedded_store() {
    let store = resolve(&[("KEYLATCH_MEMORY_LIMIT", "1kb")]).expect("good settings").store;
    assert!(matches!(store, Store::Embedded { limit: 1024 }));
}

#[test]
fn a_server_by_its_parts() {
    let address = single(&[
        ("REDIS_HOST", "cache"),
        ("REDIS_PORT", "7000"),
        ("REDIS_USERNAME", "shop"),
        ("REDIS_PASSWORD", "s3cret"),
        ("REDIS_DB", "3"),
    ]);
    assert_eq!(address.to_string(), "cache:7000");
    assert_eq!(address.login(), LOGIN);
    assert_eq!(address.database(), 3);
    assert_eq!(single(&[("REDIS_HOST", "::1")]).host(), Some("::1"));
    assert_eq!(single(&[("REDIS_HOST", "[::1]")]).host(), Some("::1"));
    assert_eq!(single(&[("REDIS_PORT", "7000")]).to_string(), "localhost:7000");
}

#[test]
fn a_url_is_completed() {
    let address =
        single(&[("REDIS_URL", "redis://shop@cache"), ("REDIS_PASSWORD", "s3cret"), ("REDIS_DB", "3")]);
    assert_eq!(address.to_string(), "cache:6379");
    assert_eq!(address.login(), LOGIN);
    assert_eq!(address.database(), 3);
    let address = single(&[("REDIS_URL", "redis://:p%2Fw@cache/3")]);
    assert_eq!(address.login(), (None, Some("p/w")));
    assert_eq!(address.database(), 3);
    let address = single(&[("REDIS_URL", "unix:///run/redis.sock?db=3"), ("REDIS_PASSWORD", "s3cret")]);
    assert_eq!(address.to_string(), "/run/redis.sock");
    assert_eq!((address.database(), address.login().1), (3, Some("s3cret")));
}

#[test]
fn limits() {
    let limits = remote(&[
        ("REDIS_URL", "redis://cache"),
        ("REDIS_POOL_SIZE", "9"),
        ("REDIS_MAX_RETRIES", "7"),
        ("REDIS_ENABLE_AUTO_PIPELINING", "no"),
        ("REDIS_MAX_MEMORY", "1kb"),
    ])
    .limits;
    assert_eq!((limits.pool_size, limits.max_retries, limits.merge_reads), (9, 7, false));
    assert_eq!(limits.max_memory, Some(1024));
    assert_eq!(remote(&[("REDIS_URL", "redis://cache")]).limits.max_memory, None);
}

#[test]
fn replicas_have_the_primarys_login_and_database() {
    let vars = [
        ("REDIS_URL", "redis://shop:s3cret@primary/2"),
        ("REDIS_READ_REPLICA_URLS", "r1:1,redis://r2:2,redis://reader:other@r3"),
    ];
    let Topology::Replicas { primary, replicas } = topology(&vars) else { panic!("replicas") };
    assert_eq!(primary.to_string(), "primary:6379");
    let places: Vec<_> = replicas.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["r1:1", "r2:2", "r3:6379"]);
    assert_eq!((replicas[0].login(), replicas[1].login()), (LOGIN, LOGIN));
    assert_eq!(replicas[2].login(), (Some("reader"), Some("other")));
    assert!(replicas.iter().all(|replica| replica.database() == 2));

    let Topology::Replicas { replicas, .. } =
        topology(&[("REDIS_HOST", "primary"), ("REDIS_READ_REPLICAS", "true")])
    else {
        panic!("replicas")
    };
    assert!(replicas.is_empty(), "the primary names them");
}

#[test]
fn sentinels_have_their_own_login() {
    let vars = [
        ("REDIS_SENTINEL_URLS", "s1,s2:1,redis://:guard@s3,redis://s4:4"),
        ("REDIS_SENTINEL_MASTER", "main"),
        ("REDIS_USERNAME", "shop"),
        ("REDIS_PASSWORD", "s3cret"),
        ("REDIS_DB", "2"),
        ("REDIS_READ_REPLICAS", "true"),
    ];
    let Topology::Sentinel { sentinels, master, template, read_replicas } = topology(&vars) else {
        panic!("sentinel")
    };
    let places: Vec<_> = sentinels.iter().map(ToString::to_string).collect();
    assert_eq!(places, ["s1:26379", "s2:1", "s3:26379", "s4:4"]);
    let logins: Vec<_> = sentinels.iter().map(Address::login).collect();
    assert_eq!(logins, [(None, None), (None, None), (None, Some("guard")), (None, None)]);
    assert_eq!((template.login(), template.database()), (LOGIN, 2));
    assert!(read_replicas);
    assert_eq!(master, "main");
}

#[test]
fn sentinel_takes_login_and_database_of_a_url() {
    let vars = [
        ("REDIS_SENTINEL_URLS", "s1"),
        ("REDIS_SENTINEL_MASTER", "main"),
        ("REDIS_URL", "redis://shop:s3cret@ignored/2"),
    ];
    let Topology::Sentinel { template, .. } = topology(&vars) else { panic!("sentinel") };
    assert_eq!((template.login(), template.database()), (LOGIN, 2));
}

#[test]
fn clusters() {
    let seeds = |vars: &[(&str, &str)]| match topology(vars) {
        Topology::Cluster { seeds } => seeds,
        other => panic!("{other:?}"),
    };
    let login = [("REDIS_USERNAME", "shop"), ("REDIS_PASSWORD", "s3cret")];
    let vars = [("REDIS_CLUSTER_NODES", "a:1,redis://b,redis://other:x@c:3"), login[0], login[1]];
    let nodes = seeds(&vars);
    assert_eq!(nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:6379", "c:3"]);
    assert_eq!(
        nodes.iter().map(Address::login).collect::<Vec<_>>(),
        [LOGIN, LOGIN, (Some("other"), Some("x"))]
    );

    let mode = ("REDIS_CLUSTER_MODE", "true");
    let nodes = seeds(&[mode, ("REDIS_URL", "redis://shop:s3cret@a:1,redis://b:2"), login[1], login[0]]);
    assert_eq!(nodes.iter().map(ToString::to_string).collect::<Vec<_>>(), ["a:1", "b:2"]);
    assert_eq!(nodes[1].login(), LOGIN);
    let nodes = seeds(&[mode, ("REDIS_HOST", "a"), login[0], login[1]]);
    assert_eq!((nodes.len(), nodes[0].to_string(), nodes[0].login()), (1, "a:6379".to_owned(), LOGIN));
}

#[test]
fn lock_masters_have_their_own_login() {
    let vars = [
        ("REDIS_URL", "redis://cache"),
        ("REDIS_PASSWORD", "s3cret"),
        ("REDIS_LOCK_URLS", "l1:1,redis://:lock@l2/1,redis://l3"),
        ("REDIS_MAX_MEMORY", "1gb"),
    ];
    let resolved = resolve(&vars).expect("good settings");
    assert_eq!(resolved.lock_masters.len(), 3);
    assert!(resolved.lock_masters.iter().all(|master| master.limits.max_memory.is_none()));
    let text = everything(&resolved);
    for line in ["l1:1 (None, None) 0", "l2:6379 (None, Some(\"lock\")) 1", "l3:6379 (None, None) 0"] {
        assert!(text.contains(line), "{line} in {text}");
    }
}

/// One, three or five; the tests of bad values have the even numbers.
#[test]
fn lock_masters_are_an_odd_number() {
    for (urls, count) in [("l1", 1), ("l1,l2,l3", 3), ("l1,l2,l3,l4,l5", 5)] {
        let resolved = resolve(&[("REDIS_LOCK_URLS", urls)]).expect("good settings");
        assert_eq!(resolved.lock_masters.len(), count);
    }
}

#[cfg(feature = "tls")]
#[test]
fn encryption() {
    let secure = |address: &Address| address.is_secure();
    assert!(secure(&single(&[("REDIS_URL", "REDISS://cache")])));
    assert!(secure(&single(&[("REDIS_HOST", "cache"), ("REDIS_TLS", "true")])));
    assert!(!secure(&single(&[("REDIS_HOST", "cache")])));
    let vars =
        [("REDIS_SENTINEL_URLS", "s1,redis://s2"), ("REDIS_SENTINEL_MASTER", "main"), ("REDIS_TLS", "true")];
    let Topology::Sentinel { sentinels, template, .. } = topology(&vars) else { panic!("sentinel") };
    assert!(secure(&template) && secure(&sentinels[0]) && !secure(&sentinels[1]));
}

#[cfg(feature = "upstash")]
#[test]
fn upstash() {
    let vars = [("UPSTASH_REDIS_REST_URL", "https://x.io/"), ("UPSTASH_REDIS_REST_TOKEN", "s3cret")];
    let Topology::Rest { url, token } = topology(&vars) else { panic!("rest") };
    assert_eq!((url.as_str(), token.reveal()), ("https://x.io", "s3cret"));
    // Who names the provider has decided.
    let both = [vars[0], vars[1], ("REDIS_URL", "redis://cache"), ("REDIS_PROVIDER", "upstash")];
    assert!(matches!(topology(&both), Topology::Rest { .. }));
    let both = [vars[0], vars[1], ("REDIS_URL", "redis://cache"), ("REDIS_PROVIDER", "local")];
    assert!(matches!(topology(&both), Topology::Single(_)));
}
