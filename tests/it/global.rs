//! The global `Keylatch`: installed, or made from the environment by the first call. Each in a process of its own.

use keylatch::{CachedCall, Keylatch, cached};

use crate::support::{RedisServer, child};

/// Names and values of environment variables.
type Environment<'a> = &'a [(&'a str, &'a str)];

#[cached(key = "global:{id}", ttl = "1m")]
async fn global(id: u64) -> u64 {
    id * 2
}

#[tokio::test]
async fn child_installs() {
    if child::argument("child_installs").is_none() {
        return;
    }
    Keylatch::builder().namespace("installed").build().unwrap().install().unwrap();
    assert_eq!(global(1).await, 2);
    assert_eq!(global(1).key().to_string(), "installed:global:1");
    let again = Keylatch::in_memory().install().unwrap_err();
    assert!(again.to_string().contains("before the first call"), "{again}");
}

#[tokio::test]
async fn child_uses_the_environment() {
    let Some(prefix) = child::argument("child_uses_the_environment") else { return };
    assert_eq!(global(1).await, 2);
    assert_eq!(global(1).key().to_string(), format!("{prefix}:global:1"));
    assert_eq!(global(1).peek().await.unwrap(), Some(2));
    assert!(Keylatch::in_memory().install().is_err(), "there is one already");
}

#[tokio::test]
async fn child_has_a_bad_environment() {
    if child::argument("child_has_a_bad_environment").is_none() {
        return;
    }
    // Answers come from bodies; everything else says what is wrong.
    assert_eq!(global(1).await, 2);
    let error = global(1).peek().await.unwrap_err();
    assert!(error.to_string().contains("REDIS_COMMAND_TIMEOUT"), "{error}");
}

#[test]
fn each_way_to_a_global_instance() {
    let server = RedisServer::start();
    let url = server.url();
    let cases: [(&str, &str, Environment<'_>); 4] = [
        ("global::child_installs", "", &[]),
        ("global::child_uses_the_environment", "keylatch", &[]),
        ("global::child_uses_the_environment", "shop", &[("REDIS_URL", &url), ("REDIS_KEY_PREFIX", "shop")]),
        (
            "global::child_has_a_bad_environment",
            "",
            &[("REDIS_URL", &url), ("REDIS_COMMAND_TIMEOUT", "soon")],
        ),
    ];
    for (path, argument, environment) in cases {
        let mut child = child::start_with(path, argument, environment);
        assert!(child.wait().unwrap().success(), "{path} {environment:?}");
    }
    assert!(server.key_count() > 0, "the environment's server was used");
}
