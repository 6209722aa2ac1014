//! `sliding = on`: an entry lives as long as it is read, and not a moment beyond an invalidation.

use std::time::Duration;

use keylatch::{CachedCall, cached};

use super::{Source, advance, settle, stats};
use crate::support::{RedisServer, keylatch};

#[cached(key = "session:{id}", ttl = "100s", sliding = on, tags = ["user"], skip(source), using = source.keylatch)]
async fn session(source: &Source, id: u32) -> u32 {
    source.load().await.unwrap_or_default()
}

async fn left(source: &Source) -> Option<Duration> {
    session(source, 1).time_to_live().await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn each_hit_pushes_the_end_forward_by_steps() {
    let source = Source::new();
    session(&source, 1).await;
    advance(9_999).await;
    session(&source, 1).await;
    settle().await;
    assert_eq!(left(&source).await, Some(Duration::from_millis(90_001)), "a tenth has not passed");
    advance(1).await;
    session(&source, 1).await;
    settle().await;
    assert_eq!(left(&source).await, Some(Duration::from_secs(100)));
    advance(9_999).await;
    session(&source, 1).await;
    settle().await;
    assert_eq!(left(&source).await, Some(Duration::from_millis(90_001)), "once per step");
    // So an entry lives for nine tenths of its life at least after it was read last.
    for _ in 0..100 {
        advance(90_000).await;
        assert_eq!(session(&source, 1).await, 1);
        settle().await;
    }
    assert_eq!(source.loads(), 1);
    advance(100_000).await;
    assert_eq!(session(&source, 1).await, 2, "nobody asked for its whole life");
}

#[tokio::test(start_paused = true)]
async fn the_stamps_live_as_long() {
    let source = Source::new();
    // Five days, which no stamp lives unless it is pushed forward, too.
    for _ in 0..5_000 {
        session(&source, 2).await;
        settle().await;
        advance(90_000).await;
    }
    assert_eq!(source.loads(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_invalidated_entry_is_not_brought_back() {
    let source = Source::new();
    session(&source, 1).await;
    advance(50_000).await;
    // The push is under way when the entry goes.
    session(&source, 1).await;
    session(&source, 1).invalidate().await.unwrap();
    settle().await;
    assert_eq!(left(&source).await, None);
    assert_eq!(session(&source, 1).await, 2);
    advance(50_000).await;
    session(&source, 1).await;
    source.keylatch.invalidate_tag("user").await.unwrap();
    settle().await;
    assert_eq!(session(&source, 1).await, 3);
}

#[cached(key = "plain:{id}", ttl = "100s", skip(source), using = source.keylatch)]
async fn not_sliding(source: &Source, id: u32) -> u32 {
    source.load().await.unwrap_or_default()
}

/// The mutant: without the option the same reads do not keep an entry.
#[tokio::test(start_paused = true)]
async fn other_entries_end() {
    let source = Source::new();
    not_sliding(&source, 1).await;
    for _ in 0..10 {
        advance(99_999).await;
        not_sliding(&source, 1).await;
        settle().await;
    }
    assert!(source.loads() > 5, "{}", source.loads());
}

#[cached(key = "quick:{id}", ttl = "1s", sliding = on, skip(source), using = source.keylatch)]
async fn quick(source: &Source, id: u32) -> u32 {
    source.load().await.unwrap_or_default()
}

#[tokio::test]
async fn on_redis() {
    let server = RedisServer::start();
    let source = Source::on(keylatch(&server));
    quick(&source, 1).await;
    let began = std::time::Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        assert_eq!(quick(&source, 1).await, 1);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    // Some hundreds of hits; for each tenth of a second one push, of the entry and of its two stamps.
    let hits = stats("sliding::quick").hits;
    let pushes = calls(&server.query(&["INFO", "commandstats"]).unwrap(), "pexpire") / 3;
    assert!((8..=32).contains(&pushes), "{pushes} pushes for {hits} hits");
    tokio::time::sleep(Duration::from_millis(1_100)).await;
    assert_eq!(quick(&source, 1).await, 2);
}

fn calls(info: &redis::Value, command: &str) -> u64 {
    let info: String = redis::from_redis_value(info.clone()).unwrap();
    let start = format!("cmdstat_{command}:calls=");
    let line = info.lines().find_map(|line| line.strip_prefix(&start));
    line.and_then(|line| line.split(',').next()).and_then(|calls| calls.parse().ok()).unwrap_or(0)
}
