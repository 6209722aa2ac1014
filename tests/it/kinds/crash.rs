//! The process that holds a lock dies: the next one has it when the lease is over, whatever kind it is.

use std::time::{Duration, Instant};

use keylatch::{Keylatch, LockBuilder};

use super::LONG;
use crate::support::{RedisServer, child, keylatch, until};

const TTL: Duration = Duration::from_millis(600);

fn kind(cache: &Keylatch, name: &str) -> LockBuilder {
    let lock = match name {
        "shared" => cache.lock_shared("a"),
        "permit" => cache.semaphore("a", 1),
        "several" => cache.lock_all(["a", "b", "c"]),
        other => panic!("no kind `{other}`"),
    };
    lock.ttl(TTL)
}

/// What that one keeps out.
fn next(cache: &Keylatch, name: &str) -> LockBuilder {
    let lock = match name {
        "shared" => cache.lock("a"),
        "several" => cache.lock_all(["c", "d"]),
        name => kind(cache, name),
    };
    lock.ttl(TTL).wait(LONG)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_holds_kind() {
    let Some(argument) = child::argument("child_holds_kind") else { return };
    let (url, name) = argument.split_once(' ').unwrap();
    let cache = Keylatch::builder().redis_url(url).namespace("test").build().unwrap();
    kind(&cache, name).run(async |_lease| std::future::pending::<()>().await).await.unwrap();
}

async fn a_dead_holder_is_followed(name: &str) {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    for _ in 0..3 {
        let argument = format!("{} {name}", server.url());
        let mut child = child::start("kinds::crash::child_holds_kind", &argument);
        until("the child holds it", || server.key_count() > 0).await;
        let killing = async {
            tokio::time::sleep(TTL / 2).await;
            child.kill().unwrap();
            child.wait().unwrap();
            Instant::now()
        };
        let following = async {
            let guard = next(&cache, name).acquire().await.unwrap();
            (guard, Instant::now())
        };
        let ((guard, had), killed) = tokio::join!(following, killing);
        let waited = had.saturating_duration_since(killed);
        assert!(waited <= TTL + Duration::from_millis(200), "{waited:?}");
        guard.release().await.unwrap();
        until("nothing is left on the server", || server.key_count() == 0).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared() {
    a_dead_holder_is_followed("shared").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn permit() {
    a_dead_holder_is_followed("permit").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several() {
    a_dead_holder_is_followed("several").await;
}
