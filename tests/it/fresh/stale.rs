//! `stale_if_error`: the last good value answers for a source that fails, and no longer than it may.

use std::sync::Arc;
use std::time::Duration;

use keylatch::{CachedCall, cached};

use super::{Source, advance, settle, stats};

#[cached(key = "kept:{id}", ttl = "60s", stale_if_error = "1h", skip(source), using = source.keylatch)]
async fn kept(source: &Source, id: u32) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn the_last_value_answers_for_a_failing_source() {
    let source = Source::new();
    assert_eq!(kept(&source, 1).await, Ok(1));
    source.fails(true);
    advance(59_999).await;
    assert_eq!(kept(&source, 1).await, Ok(1));
    assert_eq!(source.loads(), 1, "it has not ended");
    assert_eq!(kept(&source, 1).time_to_live().await.unwrap(), Some(Duration::from_millis(1)));

    advance(1).await;
    assert_eq!(kept(&source, 1).peek().await.unwrap(), None, "it has ended");
    assert_eq!(kept(&source, 1).time_to_live().await.unwrap(), None);
    for _ in 0..10 {
        assert_eq!(kept(&source, 1).await, Ok(1));
    }
    assert_eq!(source.loads(), 2, "one try, then a pause");
    assert_eq!(stats("stale::kept").stale, 10);
    assert_eq!(stats("stale::kept").hits, 1);
    advance(499).await;
    assert_eq!(kept(&source, 1).await, Ok(1));
    assert_eq!(source.loads(), 2, "half a second of pause at least");
    advance(501).await;
    assert_eq!(kept(&source, 1).await, Ok(1));
    assert_eq!(source.loads(), 3, "and a second at most");

    // As soon as a try succeeds all is as before.
    source.fails(false);
    advance(2_000).await;
    assert_eq!(kept(&source, 1).await, Ok(4));
    assert_eq!(kept(&source, 1).peek().await.unwrap(), Some(4));
    assert_eq!(kept(&source, 1).time_to_live().await.unwrap(), Some(Duration::from_secs(60)));
}

#[tokio::test(start_paused = true)]
async fn no_longer_than_it_may() {
    let source = Source::new();
    assert_eq!(kept(&source, 2).await, Ok(1));
    source.fails(true);
    advance(60_000 + 3_600_000 - 1).await;
    assert_eq!(kept(&source, 2).await, Ok(1));
    advance(1).await;
    assert_eq!(kept(&source, 2).await, Err("the source is down"));
}

#[cached(key = "tagged", ttl = "60s", stale_if_error = "1h", tags = ["shop"], skip(source), using = source.keylatch)]
async fn tagged(source: &Source) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_ends_it_for_good() {
    for way in ["entry", "tag", "function", "everything"] {
        let source = Source::new();
        tagged(&source).await.unwrap();
        source.fails(true);
        advance(61_000).await;
        assert_eq!(tagged(&source).await, Ok(1));
        match way {
            "entry" => tagged(&source).invalidate().await,
            "tag" => source.keylatch.invalidate_tag("shop").await,
            "function" => tagged(&source).invalidate_all().await,
            _ => source.keylatch.clear().await,
        }
        .unwrap();
        assert_eq!(tagged(&source).await, Err("the source is down"), "{way}");
    }
}

#[cached(key = "hanging", ttl = "60s", stale_if_error = "1h", load_timeout = "2s", skip(source), using = source.keylatch)]
async fn hanging(source: &Source) -> u32 {
    source.load().await.unwrap_or_default()
}

#[tokio::test(start_paused = true)]
async fn the_last_value_answers_for_a_source_that_hangs() {
    let source = Source::new();
    assert_eq!(hanging(&source).await, 1);
    source.takes(3_600_000);
    advance(60_000).await;
    let before = tokio::time::Instant::now();
    assert_eq!(hanging(&source).await, 1);
    assert_eq!(before.elapsed(), Duration::from_secs(2));
    assert_eq!(hanging(&source).await, 1);
    assert_eq!(before.elapsed(), Duration::from_secs(2), "the next one does not wait again");
    assert_eq!(stats("stale::hanging").stale, 2);
}

#[cached(key = "together:{id}", ttl = "60s", stale_if_error = "1h", skip(source), using = source.keylatch)]
async fn together(source: Arc<Source>, id: u32) -> Result<u32, &'static str> {
    source.load().await
}

/// Answers of a hundred callers that come while an entry past its end is renewed.
async fn a_hundred(source: &Arc<Source>, id: u32) -> Vec<Result<u32, &'static str>> {
    let mut callers = tokio::task::JoinSet::new();
    for caller in 0..100 {
        let source = Arc::clone(source);
        callers.spawn(async move {
            tokio::time::sleep(Duration::from_millis(caller)).await;
            together(source, id).await
        });
    }
    callers.join_all().await
}

#[tokio::test(start_paused = true)]
async fn one_load_for_all_who_come_after_the_end() {
    let source = Source::new();
    together(Arc::clone(&source), 1).await.unwrap();
    source.takes(200);
    advance(60_000).await;
    assert!(a_hundred(&source, 1).await.iter().all(|answer| *answer == Ok(2)));
    assert_eq!(source.loads(), 2);

    source.fails(true);
    advance(60_000).await;
    assert!(a_hundred(&source, 1).await.iter().all(|answer| *answer == Ok(2)));
    assert_eq!(source.loads(), 3);
    assert_eq!(stats("stale::together").stale, 100);
}

#[tokio::test(start_paused = true)]
async fn a_dropped_renewal_passes_to_one_of_those_who_wait() {
    let source = Source::new();
    together(Arc::clone(&source), 2).await.unwrap();
    source.takes(500);
    advance(60_000).await;
    let leader = tokio::spawn(together(Arc::clone(&source), 2));
    settle().await;
    let follower = tokio::spawn(together(Arc::clone(&source), 2));
    settle().await;
    assert_eq!(source.loads(), 2);
    leader.abort();
    assert_eq!(follower.await.unwrap(), Ok(3));
}

/// An invalidation while an entry past its end is renewed: what is loaded is not stored, and who comes later loads anew.
#[tokio::test(start_paused = true)]
async fn an_invalidation_voids_a_renewal_under_way() {
    let source = Source::new();
    together(Arc::clone(&source), 3).await.unwrap();
    source.takes(500);
    advance(60_000).await;
    let early = tokio::spawn(together(Arc::clone(&source), 3));
    settle().await;
    together(Arc::clone(&source), 3).invalidate().await.unwrap();
    let late = tokio::spawn(together(Arc::clone(&source), 3));
    assert_eq!(early.await.unwrap(), Ok(2));
    assert_eq!(late.await.unwrap(), Ok(3), "it began after the invalidation");
    assert_eq!(together(Arc::clone(&source), 3).peek().await.unwrap(), Some(3));
}

#[cached(
    key = "declined",
    ttl = "60s",
    stale_if_error = "1h",
    cache_if = *result == 1,
    skip(source),
    using = source.keylatch
)]
async fn declined(source: &Source) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_for_storing_leaves_nothing_to_wait_for() {
    let source = Source::new();
    assert_eq!(declined(&source).await, Ok(1));
    source.takes(100);
    advance(60_000).await;
    let before = tokio::time::Instant::now();
    let (a, b, c) = tokio::join!(declined(&source), declined(&source), declined(&source));
    assert!(a.is_ok() && b.is_ok() && c.is_ok());
    assert!(before.elapsed() <= Duration::from_millis(300), "one after the other: {:?}", before.elapsed());
    source.fails(true);
    assert_eq!(declined(&source).await, Err("the source is down"), "the old value is gone");
    assert_eq!(stats("stale::declined").stale, 0);
}

async fn is_waiting<F: Future>(mut call: std::pin::Pin<&mut F>) -> bool {
    std::future::poll_fn(|cx| std::task::Poll::Ready(call.as_mut().poll(cx).is_pending())).await
}

/// An invalidation while a renewal fails or hangs: its caller gets what the body says, however late.
#[tokio::test(start_paused = true)]
async fn what_is_invalidated_meanwhile_does_not_answer() {
    for by_tag in [false, true] {
        let source = Source::new();
        tagged(&source).await.unwrap();
        source.fails(true);
        source.takes(500);
        advance(60_000).await;
        let mut call = std::pin::pin!(tagged(&source));
        assert!(is_waiting(call.as_mut()).await);
        if by_tag {
            source.keylatch.invalidate_tag("shop").await.unwrap();
        } else {
            tagged(&source).invalidate().await.unwrap();
        }
        assert_eq!(call.await, Err("the source is down"));
    }

    let source = Source::new();
    assert_eq!(hanging(&source).await, 1);
    source.takes(3_000);
    advance(60_000).await;
    let mut call = std::pin::pin!(hanging(&source));
    assert!(is_waiting(call.as_mut()).await);
    hanging(&source).invalidate().await.unwrap();
    assert_eq!(call.await, 2, "beyond its time, for there is nothing else");
}

#[cached(key = "made", ttl = "1h", skip(source), using = source.keylatch)]
async fn made_from_it(source: &Source) -> Result<u32, &'static str> {
    kept(source, 4).await
}

#[tokio::test(start_paused = true)]
async fn nothing_that_was_made_from_it_is_stored() {
    let source = Source::new();
    kept(&source, 4).await.unwrap();
    source.fails(true);
    advance(60_000).await;
    assert_eq!(made_from_it(&source).await, Ok(1));
    assert_eq!(made_from_it(&source).peek().await.unwrap(), None);
    source.fails(false);
    advance(1_000).await;
    assert_eq!(made_from_it(&source).await, Ok(3));
    assert_eq!(made_from_it(&source).peek().await.unwrap(), Some(3));
}

#[cached(
    key = "both",
    ttl = "60s",
    refresh_after = "10s",
    stale_if_error = "1h",
    skip(source),
    using = source.keylatch
)]
async fn both(source: Arc<Source>) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn with_refreshes_too() {
    let source = Source::new();
    let call = || both(Arc::clone(&source));
    assert_eq!(call().await, Ok(1));
    advance(10_000).await;
    assert_eq!(call().await, Ok(1));
    settle().await;
    assert_eq!(call().await, Ok(2));
    source.fails(true);
    advance(10_000).await;
    assert_eq!(call().await, Ok(2));
    settle().await;
    assert_eq!(source.loads(), 3);
    advance(50_000).await;
    assert_eq!(call().await, Ok(2), "past its end");
    assert_eq!(source.loads(), 4);
    assert_eq!(stats("stale::both").stale, 1);
}
