//! What a program is told of its configuration: once, where it begins, and what to do about it.

use keylatch::{Keylatch, cached};
use tracing::Level;

use super::collected::Collected;
use crate::support::{RedisServer, child};

const EMBEDDED: &str = "no Redis is configured";
const PREFIX: &str = "no key prefix is configured";
const UNUSABLE: &str = "the environment's configuration is bad";

#[cached(key = "configured:{id}", ttl = "1m")]
async fn configured(id: u64) -> u64 {
    id * 2
}

/// A program of many tasks, whose first calls make the global instance.
async fn use_it() {
    for _ in 0..3 {
        let calls: Vec<_> = (0..32).map(|id| tokio::spawn(async move { configured(id % 8).await })).collect();
        for (id, call) in (0..).zip(calls) {
            assert_eq!(call.await.expect("no call panics"), id % 8 * 2);
        }
    }
}

/// What that child is told when it uses the cache; nothing where this is no child.
async fn what_is_told_to(child: &str) -> Option<Collected> {
    child::argument(child)?;
    let collected = Collected::ours().everywhere();
    use_it().await;
    Some(collected)
}

/// What was told, where that was one line.
fn the_one(collected: &Collected, level: Level, text: &str) -> String {
    let lines = collected.lines(level, text);
    let [line] = &lines[..] else { panic!("{text}: {}\n{}", lines.len(), collected.all()) };
    line.clone()
}

fn is_quiet(collected: &Collected, text: &str) {
    assert!(!collected.all().contains(text), "{}", collected.all());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_develops() {
    let Some(collected) = what_is_told_to("child_develops").await else { return };
    let told = the_one(&collected, Level::WARN, EMBEDDED);
    assert!(told.contains("set REDIS_URL") && told.contains("`Keylatch::in_memory()`"), "{told}");
    // Nobody else has these entries.
    is_quiet(&collected, PREFIX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_means_it() {
    if child::argument("child_means_it").is_none() {
        return;
    }
    let collected = Collected::ours().everywhere();
    Keylatch::in_memory().install().expect("it is the first");
    use_it().await;
    is_quiet(&collected, EMBEDDED);
    is_quiet(&collected, PREFIX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_has_no_prefix() {
    let Some(collected) = what_is_told_to("child_has_no_prefix").await else { return };
    let told = the_one(&collected, Level::WARN, PREFIX);
    assert!(told.contains("namespace=\"keylatch\"") && told.contains("set REDIS_KEY_PREFIX"), "{told}");
    is_quiet(&collected, EMBEDDED);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_has_a_prefix() {
    let Some(collected) = what_is_told_to("child_has_a_prefix").await else { return };
    is_quiet(&collected, EMBEDDED);
    is_quiet(&collected, PREFIX);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn child_has_a_fault() {
    let Some(collected) = what_is_told_to("child_has_a_fault").await else { return };
    let told = the_one(&collected, Level::ERROR, UNUSABLE);
    assert!(told.contains("REDIS_COMMAND_TIMEOUT"), "{told}");
}

#[test]
fn a_program_is_told_once_and_what_to_do() {
    let server = RedisServer::start();
    let url = server.url();
    let cases: [(&str, &[(&str, &str)]); 5] = [
        ("child_develops", &[]),
        ("child_means_it", &[]),
        ("child_has_no_prefix", &[("REDIS_URL", &url)]),
        ("child_has_a_prefix", &[("REDIS_URL", &url), ("REDIS_KEY_PREFIX", "shop")]),
        ("child_has_a_fault", &[("REDIS_URL", &url), ("REDIS_COMMAND_TIMEOUT", "soon")]),
    ];
    for (role, environment) in cases {
        let mut child = child::start_with(&format!("telemetry::configured::{role}"), "", environment);
        assert!(child.wait().expect("it ends").success(), "{role}");
    }
    assert!(server.key_count() > 0, "it was used");
}

/// Each instance that the code makes is one more that may share its entries with another application.
#[tokio::test]
async fn an_instance_by_code_is_told_of_once_unless_it_has_a_prefix() {
    let server = RedisServer::start();
    let collected = Collected::ours();
    let _collecting = tracing::subscriber::set_default(collected.clone());
    let with_prefix = crate::support::keylatch(&server);
    let in_this_process = Keylatch::builder().build().expect("good settings");
    for cache in [&with_prefix, &in_this_process] {
        super::traced(cache, 1).await;
    }
    is_quiet(&collected, PREFIX);
    let without = Keylatch::builder().redis_url(server.url()).build().expect("good settings");
    super::traced(&without, 1).await;
    super::traced(&without, 1).await;
    let told = the_one(&collected, Level::WARN, PREFIX);
    assert!(told.contains("namespace=\"keylatch\"") && told.contains("set REDIS_KEY_PREFIX"), "{told}");
}
