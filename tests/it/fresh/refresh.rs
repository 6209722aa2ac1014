//! `refresh_after`: the old value answers, the new one is loaded behind the call.

use std::sync::Arc;
use std::time::Duration;

use keylatch::{CachedCall, Key, Keylatch, cached};

use super::{Source, advance, settle, stats};

#[cached(key = "plain:{id}", ttl = "60s", refresh_after = "10s", skip(source), using = source.keylatch)]
async fn plain(source: Arc<Source>, id: u32) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn an_old_entry_answers_and_is_renewed_behind() {
    let source = Source::new();
    let call = || plain(Arc::clone(&source), 1);
    assert_eq!(call().await, Ok(1));
    advance(9_999).await;
    assert_eq!(call().await, Ok(1));
    settle().await;
    assert_eq!(source.loads(), 1, "not a millisecond early");

    source.takes(500);
    advance(1).await;
    let before = tokio::time::Instant::now();
    for _ in 0..100 {
        assert_eq!(call().await, Ok(1));
    }
    assert_eq!(before.elapsed(), Duration::ZERO, "nobody waits for the load");
    settle().await;
    assert_eq!(source.loads(), 2, "one load for a hundred hits");
    advance(500).await;
    settle().await;
    assert_eq!(call().await, Ok(2));
    assert_eq!(call().time_to_live().await.unwrap(), Some(Duration::from_secs(60)), "a whole new life");
    let stats = stats("refresh::plain");
    assert_eq!((stats.refreshes, stats.failed_refreshes, stats.loads), (1, 0, 2));

    // Whoever asks only after its end waits for a load, as ever.
    advance(60_000).await;
    assert_eq!(call().await, Ok(3));
}

#[cached(key = "failing:{id}", ttl = "60s", refresh_after = "10s", skip(source), using = source.keylatch)]
async fn failing(source: Arc<Source>, id: u32) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn a_failed_refresh_is_counted_and_the_old_entry_answers_until_it_ends() {
    let source = Source::new();
    let call = || failing(Arc::clone(&source), 1);
    assert_eq!(call().await, Ok(1));
    source.fails(true);
    advance(10_000).await;
    for _ in 0..10 {
        assert_eq!(call().await, Ok(1));
        settle().await;
    }
    assert_eq!(source.loads(), 2, "not again within the pause");
    assert_eq!(stats("refresh::failing").failed_refreshes, 1);
    advance(1_000).await;
    assert_eq!(call().await, Ok(1));
    settle().await;
    assert_eq!(source.loads(), 3, "but after it");
    assert_eq!(stats("refresh::failing").failed_refreshes, 2);
    advance(48_999).await;
    assert_eq!(call().await, Ok(1), "the last millisecond");
    advance(1).await;
    assert_eq!(call().await, Err("the source is down"));
}

#[cached(key = "panicking", ttl = "60s", refresh_after = "10s", skip(source), using = source.keylatch)]
async fn panicking(source: Arc<Source>) -> u32 {
    let load = source.load().await.unwrap_or_default();
    assert!(load != 2, "panics on purpose");
    load
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_panics_is_counted() {
    let source = Source::new();
    assert_eq!(panicking(Arc::clone(&source)).await, 1);
    advance(10_000).await;
    assert_eq!(panicking(Arc::clone(&source)).await, 1);
    settle().await;
    assert_eq!(stats("refresh::panicking").failed_refreshes, 1);
    advance(1_000).await;
    assert_eq!(panicking(Arc::clone(&source)).await, 1);
    settle().await;
    assert_eq!(panicking(Arc::clone(&source)).await, 3);
}

#[cached(key = "raced:{id}", ttl = "60s", refresh_after = "10s", tags = ["raced"], skip(source), using = source.keylatch)]
async fn raced(source: Arc<Source>, id: u32) -> Result<u32, &'static str> {
    source.load().await
}

/// Whether what a refresh loaded is there after its entry was invalidated while it ran.
async fn stays_after_an_invalidation(keylatch: Keylatch, by_tag: bool) -> bool {
    let source = Source::on(keylatch);
    let call = || raced(Arc::clone(&source), 1);
    call().await.unwrap();
    source.takes(500);
    advance(10_000).await;
    call().await.unwrap();
    settle().await;
    assert_eq!(source.loads(), 2, "the refresh is under way");
    if by_tag {
        source.keylatch.invalidate_tag("raced").await.unwrap();
    } else {
        call().invalidate().await.unwrap();
    }
    advance(500).await;
    settle().await;
    call().peek().await.unwrap().is_some()
}

#[tokio::test(start_paused = true)]
async fn an_invalidation_voids_a_refresh_under_way() {
    assert!(!stays_after_an_invalidation(Keylatch::in_memory(), false).await);
    assert!(!stays_after_an_invalidation(Keylatch::in_memory(), true).await);
    // The mutant: without the check of fills the test notices.
    let mutant = Keylatch::builder().memory_limit(1 << 20).without_fill_check().build().unwrap();
    assert!(stays_after_an_invalidation(mutant, false).await);
}

#[cached(key = "inner", ttl = "60s", refresh_after = "10s", tags = ["inners"], skip(source), using = source.keylatch)]
async fn inner(source: Arc<Source>) -> u32 {
    source.load().await.unwrap_or_default()
}

#[cached(key = "outer", ttl = "1h", skip(source), using = source.keylatch)]
async fn outer(source: &Arc<Source>) -> u32 {
    inner(Arc::clone(source)).await
}

#[tokio::test(start_paused = true)]
async fn what_was_made_from_an_entry_stays_when_that_is_refreshed() {
    let source = Source::new();
    assert_eq!(outer(&source).await, 1);
    advance(10_000).await;
    assert_eq!(inner(Arc::clone(&source)).await, 1);
    settle().await;
    assert_eq!(inner(Arc::clone(&source)).await, 2);
    assert_eq!(outer(&source).await, 1, "as after an expiry");
    // An invalidation reaches it through the refreshed entry as through the first.
    source.keylatch.invalidate_tag("inners").await.unwrap();
    assert_eq!(outer(&source).await, 3);
    inner(Arc::clone(&source)).invalidate().await.unwrap();
    assert_eq!(outer(&source).await, 4);
}

#[tokio::test(start_paused = true)]
async fn an_entry_lives_for_days_on_refreshes_alone() {
    let source = Source::new();
    for _ in 0..10_000 {
        plain(Arc::clone(&source), 7).await.unwrap();
        settle().await;
        // More than two days in all: longer than any stamp lives that nobody pushes forward.
        advance(20_000).await;
    }
    assert_eq!(source.loads(), 10_000);
    let stats = stats("refresh::plain");
    assert_eq!(stats.misses, 1, "nobody waited after the first call");
}

struct Service {
    source: Arc<Source>,
    tenant: String,
}

impl Service {
    #[cached(key = "of:{self.tenant}", ttl = "60s", refresh_after = "10s", using = self.source.keylatch)]
    async fn count(self: Arc<Self>) -> Option<u32> {
        self.source.load().await.ok()
    }
}

#[tokio::test(start_paused = true)]
async fn methods_and_the_programmatic_api() {
    let source = Source::new();
    let service = Arc::new(Service { source: Arc::clone(&source), tenant: "a".into() });
    assert_eq!(Arc::clone(&service).count().await, Some(1));
    advance(10_000).await;
    assert_eq!(Arc::clone(&service).count().await, Some(1));
    settle().await;
    assert_eq!(Arc::clone(&service).count().await, Some(2));

    let price = |fail: bool| {
        let entry = source.keylatch.entry(Key::of("price")).ttl(Duration::from_secs(60));
        let source = Arc::clone(&source);
        entry.refresh_after(Duration::from_secs(10)).try_get_or_load(async move || {
            let load = source.load().await;
            if fail { Err("no") } else { load }
        })
    };
    assert_eq!(price(false).await, Ok(3));
    advance(10_000).await;
    assert_eq!(price(true).await, Ok(3));
    settle().await;
    advance(1_000).await;
    assert_eq!(price(false).await, Ok(3));
    settle().await;
    assert_eq!(price(false).await, Ok(5));
}

#[cached(key = "slow", ttl = "60s", refresh_after = "10s", skip(source), using = source.keylatch)]
async fn slow(source: Arc<Source>) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn a_slow_load_begins_early_enough_to_be_in_time() {
    // XFetch: the moment is drawn some load times early, so that the new value is there before the old one is due.
    let mut late = 0;
    let mut ahead = Vec::new();
    for round in 0..40 {
        let source = Source::new();
        source.takes(200);
        slow(Arc::clone(&source)).await.unwrap();
        let written = tokio::time::Instant::now();
        while source.loads() == 1 {
            assert_eq!(slow(Arc::clone(&source)).await, Ok(1), "round {round}");
            settle().await;
            advance(20).await;
        }
        let began = written.elapsed().as_secs_f64();
        ahead.push(10.0 - began);
        late += u32::from(began > 10.0);
    }
    let mean = ahead.iter().sum::<f64>() / 40.0;
    assert!(late <= 4, "{late} of 40 only when it was due");
    // Fifty draws a second bring the first of them to about two and a half load times.
    assert!((0.3..0.9).contains(&mean), "{mean} s early on average: {ahead:?}");
}

#[cached(
    key = "declined",
    ttl = "60s",
    refresh_after = "10s",
    cache_if = *result == 1,
    skip(source),
    using = source.keylatch
)]
async fn declined(source: Arc<Source>) -> Result<u32, &'static str> {
    source.load().await
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_not_for_storing_does_not_run_the_body_at_every_hit() {
    let source = Source::new();
    assert_eq!(declined(Arc::clone(&source)).await, Ok(1));
    advance(10_000).await;
    for _ in 0..100 {
        assert_eq!(declined(Arc::clone(&source)).await, Ok(1));
        settle().await;
    }
    assert_eq!(source.loads(), 2);
    assert_eq!(stats("refresh::declined").failed_refreshes, 1);
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_waits_for_what_runs_behind() {
    let source = Source::new();
    plain(Arc::clone(&source), 9).await.unwrap();
    source.takes(500);
    advance(10_000).await;
    plain(Arc::clone(&source), 9).await.unwrap();
    settle().await;
    let leftovers = source.keylatch.shutdown(Duration::from_secs(5)).await;
    assert!(leftovers.is_empty(), "{leftovers}");
    assert_eq!(source.loads(), 2);
}
