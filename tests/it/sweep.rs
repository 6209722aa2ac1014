//! Invalidation by pattern as it goes on: what it tells, and what is left when it is dropped.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use keylatch::{Key, Keylatch, Pattern, Progress};

use crate::support::{RedisServer, keylatch};

const MATCHING: u64 = 3_000;
const OTHERS: u64 = 2_000;

fn pattern() -> Pattern {
    Pattern::of("swept").any()
}

/// Entries that match, and others.
async fn fill(cache: &Keylatch) {
    let puts = |name: &'static str, count: u64| {
        futures_util::future::join_all(
            (0..count)
                .map(move |id| cache.entry(Key::of(name).part(&id)).ttl(Duration::from_secs(600)).put(id)),
        )
    };
    let all = [puts("swept", MATCHING).await, puts("kept", OTHERS).await];
    assert!(all.iter().flatten().all(Result::is_ok));
}

/// How many entries there are of one kind.
async fn count(cache: &Keylatch, name: &str, of: u64) -> u64 {
    let gets = (0..of).map(|id| cache.entry(Key::of(name).part(&id)).get::<u64>());
    let found = futures_util::future::join_all(gets).await;
    found.into_iter().map(|value| u64::from(value.expect("the store is up").is_some())).sum()
}

async fn it_tells_how_far_it_has_come(cache: Keylatch) {
    fill(&cache).await;
    let mut told: Vec<Progress> = Vec::new();
    cache
        .invalidate_matching(&pattern())
        .on_progress(|progress| told.push(progress))
        .await
        .expect("it is up");
    assert!(told.len() > 3, "it goes in steps: {told:?}");
    assert!(told.is_sorted_by_key(|progress| progress.entries), "{told:?}");
    assert!(told.is_sorted_by_key(|progress| progress.looked_at), "{told:?}");
    assert!(told.iter().all(|progress| (0.0..=1.0).contains(&progress.fraction())), "{told:?}");
    let last = told.last().expect("it has told");
    assert_eq!(last.entries, MATCHING);
    // The stamps of everything and of the function are keys, too.
    assert!((MATCHING + OTHERS..MATCHING + OTHERS + 10).contains(&last.keys), "{last:?}");
    assert!(last.looked_at >= last.keys, "{last:?}");
    assert_eq!((count(&cache, "swept", MATCHING).await, count(&cache, "kept", OTHERS).await), (0, OTHERS));
}

#[tokio::test]
async fn it_tells_how_far_it_has_come_on_redis() {
    let server = RedisServer::start();
    it_tells_how_far_it_has_come(keylatch(&server)).await;
}

#[tokio::test]
async fn it_tells_how_far_it_has_come_on_the_embedded_store() {
    it_tells_how_far_it_has_come(Keylatch::in_memory()).await;
}

/// Dropped after its first step, it leaves the rest, and does not go on.
async fn dropped_it_goes_no_further(cache: &Keylatch, still: impl AsyncFn()) {
    fill(cache).await;
    let begun = tokio::sync::Notify::new();
    let dropped = AtomicBool::new(false);
    let after = Mutex::new(0);
    let sweep = cache.invalidate_matching(&pattern()).on_progress(|progress| {
        if progress.entries > 0 {
            begun.notify_one();
        }
        *after.lock().expect("nobody panics") += u32::from(dropped.load(Ordering::SeqCst));
    });
    tokio::select! {
        biased;
        () = begun.notified() => {}
        _done = sweep.into_future() => panic!("it has come to its end in one step"),
    }
    dropped.store(true, Ordering::SeqCst);
    still().await;
    let left = count(cache, "swept", MATCHING).await;
    assert!(left > 0 && left < MATCHING, "{left} are left");
    still().await;
    assert_eq!(count(cache, "swept", MATCHING).await, left, "it goes on");
    assert_eq!(*after.lock().expect("nobody panics"), 0);
    assert_eq!(cache.health().await.status, keylatch::Status::Up);
    // Nothing is repeated of it; another one does the rest.
    cache.invalidate_matching(&pattern()).await.expect("it is up");
    assert_eq!((count(cache, "swept", MATCHING).await, count(cache, "kept", OTHERS).await), (0, OTHERS));
}

#[tokio::test]
async fn dropped_it_goes_no_further_on_redis() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let scans = || server.calls("scan");
    dropped_it_goes_no_further(&cache, async || {
        // Whatever was on its way has been carried out when the server has answered what came later.
        let now = scans();
        for _ in 0..50 {
            cache.entry("unrelated").get::<u64>().await.expect("it is up");
        }
        assert!(scans() <= now + 1, "it goes on looking");
    })
    .await;
}

#[tokio::test]
async fn dropped_it_goes_no_further_on_the_embedded_store() {
    dropped_it_goes_no_further(&Keylatch::in_memory(), async || {
        for _ in 0..50 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A stamp that is made while a scan is under way may not be found by it, and goes with its entry all the same; as a hold
/// stays.
#[tokio::test]
async fn stamps_go_with_their_entries_and_holds_stay() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let outer = |id: u64| cache.entry(Key::of("outer").part(&id));
    for id in 0..200_u64 {
        let inner = async || cache.entry(Key::of("swept").part(&id)).get_or_load(async || id).await;
        assert_eq!(outer(id).get_or_load(inner).await, id);
    }
    server.command("SET test:swept:held H0123456789abcdef").expect("it answers");
    cache.invalidate_matching(&pattern()).await.expect("it is up");
    for id in 0..200 {
        assert_eq!(outer(id).get::<u64>().await.expect("it is up"), None, "made from what is gone");
    }
    assert_eq!(server.command("STRLEN test:swept:held").as_deref(), Some(":17"));
}
