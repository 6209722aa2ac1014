//! `must_read_primary`: a body knows that it runs because a write is under way, and nobody else is told so.

use std::time::Duration;

use keylatch::{CachedCall, Keylatch, cache_invalidate, cached, must_read_primary};
use tokio::sync::Notify;

use crate::support::{RedisServer, keylatch};

#[cached(key = "lagging:{id}", ttl = "1h", hold_off = "60s", tags = ["group"], skip(keylatch), using = keylatch)]
async fn lagging(keylatch: &Keylatch, id: u64) -> bool {
    must_read_primary()
}

#[cached(key = "outer:{id}", ttl = "1h", skip(keylatch), using = keylatch)]
async fn outer(keylatch: &Keylatch, id: u64) -> (bool, bool, bool) {
    let before = must_read_primary();
    let inner = lagging(keylatch, id).await;
    (before, inner, must_read_primary())
}

#[cache_invalidate(tags = ["group"], when = around, using = keylatch)]
async fn write(keylatch: &Keylatch, begun: &Notify, done: &Notify) {
    begun.notify_one();
    done.notified().await;
}

async fn only_under_a_hold(cache: Keylatch) {
    assert!(!must_read_primary());
    assert!(!lagging(&cache, 1).await, "an ordinary load");
    assert!(!lagging(&cache, 1).refresh().await);

    lagging(&cache, 1).invalidate().await.unwrap();
    assert!(lagging(&cache, 1).await, "held off");
    assert!(lagging(&cache, 1).refresh().await);
    assert!(!lagging(&cache, 1).bypass().await, "not asked");
    assert_eq!(outer(&cache, 1).await, (false, true, false), "each for itself");
    assert!(!lagging(&cache, 2).await, "another entry");
    assert_eq!(lagging(&cache, 1).peek().await.unwrap(), None, "and it is not stored");

    let (begun, done) = (Notify::new(), Notify::new());
    let read = async {
        begun.notified().await;
        let answer = lagging(&cache, 3).await;
        done.notify_one();
        answer
    };
    let ((), answer) = tokio::join!(write(&cache, &begun, &done), read);
    assert!(answer, "its tag is held");
    assert!(!lagging(&cache, 3).await);
}

#[tokio::test]
async fn only_under_a_hold_on_the_embedded_store() {
    only_under_a_hold(Keylatch::in_memory()).await;
}

#[tokio::test]
async fn only_under_a_hold_on_redis() {
    let server = RedisServer::start();
    only_under_a_hold(keylatch(&server)).await;
}

#[tokio::test(start_paused = true)]
async fn not_after_the_hold() {
    let cache = Keylatch::in_memory();
    lagging(&cache, 1).invalidate().await.unwrap();
    assert!(lagging(&cache, 1).await);
    tokio::time::advance(Duration::from_secs(61)).await;
    assert!(!lagging(&cache, 1).await);
    assert_eq!(lagging(&cache, 1).peek().await.unwrap(), Some(false));
}
