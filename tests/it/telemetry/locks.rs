//! What is told of locks: how long they were waited for and held, what was left of them when they were extended, and how they
//! ended.

use std::time::Duration;

use keylatch::{Keylatch, LockError};
use tracing::Level;

use super::collected::Collected;
use crate::support::{RedisServer, keylatch, until};

const TTL: Duration = Duration::from_millis(300);

/// The field of that name in the only line of that level with that text.
fn field(collected: &Collected, level: Level, text: &str, name: &str) -> String {
    let lines = collected.lines(level, text);
    let [line] = &*lines else { panic!("one `{text}` is expected: {lines:?}") };
    let start = format!(" {name}=");
    let value = line.split_once(&start).unwrap_or_else(|| panic!("no {name}: {line}")).1;
    value.split(' ').next().unwrap_or_default().to_owned()
}

/// What is told while it runs.
async fn told(body: impl AsyncFnOnce()) -> Collected {
    let collected = Collected::ours();
    let _listens = tracing::subscriber::set_default(collected.clone());
    body().await;
    collected
}

async fn each_end_is_told(cache: &Keylatch) {
    let released = told(async || {
        let guard = cache.lock("told").ttl(TTL).acquire().await.unwrap();
        tokio::time::sleep(TTL / 10).await;
        guard.release().await.unwrap();
    });
    let released = released.await;
    assert!(field(&released, Level::DEBUG, "message=locked", "key").ends_with("told"));
    assert!(field(&released, Level::DEBUG, "message=locked", "waited").ends_with('s'));
    let held = field(&released, Level::DEBUG, "message=unlocked", "held");
    assert!(!held.ends_with("µs") && !held.ends_with("ns"), "it was held for 30 ms at least: {held}");
    assert!(!released.at(Level::DEBUG, "without a release"));

    let dropped = told(async || drop(cache.lock("told").ttl(TTL).acquire().await.unwrap())).await;
    assert!(field(&dropped, Level::DEBUG, "without a release", "key").ends_with("told"));
    assert!(!field(&dropped, Level::DEBUG, "message=unlocked", "held").is_empty());
}

/// On one thread, so that all of it is told to whoever listens there.
#[tokio::test]
async fn ends_of_locks() {
    each_end_is_told(&Keylatch::in_memory()).await;
    let server = RedisServer::start();
    each_end_is_told(&keylatch(&server)).await;
}

#[tokio::test]
async fn extensions_and_losses() {
    let cache = Keylatch::in_memory();
    let collected = told(async || {
        let guard = cache.lock("told").ttl(TTL).acquire().await.unwrap();
        let mut left = guard.lease().remaining();
        until("it is not extended", || {
            let before = std::mem::replace(&mut left, guard.lease().remaining());
            left > before
        })
        .await;
        guard.release().await.unwrap();
        let lost = cache.lock("lost").ttl(TTL).extend_off();
        let outcome = lost.run(async |_lease| std::future::pending::<()>().await).await;
        assert!(matches!(outcome, Err(LockError::Lost { .. })), "{outcome:?}");
    })
    .await;
    let extended = collected.lines(Level::TRACE, "message=lock extended");
    assert!(!extended.is_empty() && extended.iter().all(|line| line.contains("margin=")), "{extended:?}");
    assert!(field(&collected, Level::ERROR, "message=lock lost", "key").ends_with("lost"));
}
