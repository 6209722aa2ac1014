//! Entries that age, as `explain()` tells them: fresh, due, past their end; and how it stands with their renewal.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use keylatch::explanation::{Explanation, Miss, RenewalState, SlotState, Source};
use keylatch::{CachedCall, Keylatch, cached};

use super::{Db, load};
use crate::support::{RedisServer, keylatch};

const HERE: RenewalState = RenewalState::UnderWay { in_this_process: true };
const ELSEWHERE: RenewalState = RenewalState::UnderWay { in_this_process: false };

/// The first load succeeds at once, the second one fails as soon as it may go on, the third one succeeds.
async fn loaded(db: &Db) -> Result<u64, &'static str> {
    let number = db.loads.fetch_add(1, Ordering::SeqCst) + 1;
    if number == 2 {
        db.inside.notify_one();
        db.go.notified().await;
        return Err("the source is down");
    }
    Ok(number)
}

#[cached(key = "due", ttl = "60s", refresh_after = "10s", local = off, skip(db), using = db.keylatch)]
async fn due(db: Arc<Db>) -> Result<u64, &'static str> {
    // So slow that calls may renew it early, by chance.
    tokio::time::sleep(Duration::from_secs(2)).await;
    loaded(&db).await
}

#[cached(key = "kept", ttl = "60s", stale_if_error = "1h", local = off, skip(db), using = db.keylatch)]
async fn kept(db: Arc<Db>) -> Result<u64, &'static str> {
    loaded(&db).await
}

/// Ends soon.
#[cached(key = "fleeting", ttl = "100ms", stale_if_error = "1h", local = off, skip(db), using = db.keylatch)]
async fn fleeting(db: Arc<Db>) -> Result<u64, &'static str> {
    loaded(&db).await
}

/// Asks again until it is told what is expected. On a paused clock no time passes.
async fn when(
    ask: &impl AsyncFn() -> Explanation,
    is_expected: impl Fn(&Explanation) -> bool,
) -> Explanation {
    let began = Instant::now();
    loop {
        let explanation = ask().await;
        if is_expected(&explanation) {
            return explanation;
        }
        assert!(began.elapsed() < Duration::from_secs(10), "{explanation}");
        tokio::task::yield_now().await;
    }
}

/// What is left of the pause that is told.
fn pause(explanation: &Explanation) -> Duration {
    let Some(RenewalState::Paused { left }) = explanation.renewal else { panic!("{explanation}") };
    assert!(explanation.to_string().contains("renewal   failed, tried again after"), "{explanation}");
    left
}

async fn advance(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_due_and_its_renewal() {
    let db = Db::on(Keylatch::in_memory());
    let call = || due(Arc::clone(&db));
    let told = async || call().explain().await;
    assert_eq!(call().await, Ok(1));
    advance(9_999).await;
    let fresh = told().await;
    assert_eq!((&fresh.source, fresh.renewal), (&Source::Entry, None), "{fresh}");
    advance(1).await;
    let old = told().await;
    assert_eq!((&old.source, old.renewal), (&Source::Due, None), "{old}");
    assert!(old.to_string().contains("the stored value, due to be renewed"), "{old}");
    assert_eq!(db.loads.load(Ordering::SeqCst), 1, "to ask renews nothing");

    assert_eq!(call().await, Ok(1));
    db.inside.notified().await;
    let renewed = told().await;
    assert_eq!((&renewed.source, renewed.renewal), (&Source::Due, Some(HERE)), "{renewed}");
    assert!(renewed.to_string().contains("renewal   under way in this process"), "{renewed}");
    db.go.notify_one();
    let failed = when(&told, |told| told.renewal != Some(HERE)).await;
    assert_eq!(failed.source, Source::Due, "{failed}");
    let left = pause(&failed);
    assert!((Duration::from_millis(500)..=Duration::from_secs(1)).contains(&left), "{left:?}");

    let millisecond = Duration::from_millis(1);
    tokio::time::advance(left.saturating_sub(millisecond)).await;
    assert_eq!(pause(&told().await), millisecond);
    advance(1).await;
    assert_eq!(told().await.renewal, None, "the next call tries");
}

#[tokio::test(start_paused = true)]
async fn an_entry_past_its_end_and_its_renewal() {
    let db = Db::on(Keylatch::in_memory());
    let call = || kept(Arc::clone(&db));
    let told = async || call().explain().await;
    assert_eq!(call().await, Ok(1));
    advance(59_999).await;
    assert_eq!(told().await.source, Source::Entry);
    advance(1).await;
    let ended = told().await;
    assert_eq!((&ended.source, ended.slot), (&load(Miss::Ended), SlotState::Value), "{ended}");
    assert_eq!((ended.renewal, ended.remaining), (None, Some(Duration::from_secs(3_600))), "{ended}");
    assert!(ended.to_string().contains("answers only if the body fails"), "{ended}");
    assert_eq!(db.loads.load(Ordering::SeqCst), 1, "to ask runs no body");

    let renewing = tokio::spawn(call());
    db.inside.notified().await;
    let renewed = told().await;
    let follows = Source::OtherLoad { in_this_process: true };
    assert_eq!((&renewed.source, renewed.renewal), (&follows, Some(HERE)), "{renewed}");
    db.go.notify_one();
    assert_eq!(renewing.await.unwrap(), Ok(1), "the last value");
    let stale = told().await;
    assert_eq!(stale.source, Source::Stale, "{stale}");
    assert!(stale.to_string().contains("the stored value past its end"), "{stale}");
    assert_eq!(serde_json::to_value(&stale).unwrap()["source"], "stale");
    assert_eq!(call().await, Ok(1));
    assert_eq!(db.loads.load(Ordering::SeqCst), 2, "as was told, without the body");

    tokio::time::advance(pause(&stale)).await;
    let over = told().await;
    assert_eq!((&over.source, over.renewal), (&load(Miss::Ended), None), "{over}");
    assert_eq!(call().await, Ok(3));
    assert_eq!(told().await.source, Source::Entry);

    // What was invalidated answers for nobody.
    advance(60_000).await;
    db.keylatch.clear().await.unwrap();
    assert_eq!(told().await.source, load(Miss::Invalidated));
}

#[tokio::test]
async fn what_another_process_renews() {
    let server = RedisServer::start();
    let (here, there) = (Db::on(keylatch(&server)), Db::on(keylatch(&server)));
    let told = async || fleeting(Arc::clone(&here)).explain().await;
    let elsewhere = async || fleeting(Arc::clone(&there)).explain().await;
    assert_eq!(fleeting(Arc::clone(&here)).await, Ok(1));
    let ended = when(&elsewhere, |told| told.source == load(Miss::Ended)).await;
    assert_eq!((ended.slot, ended.renewal), (SlotState::Value, None), "{ended}");
    assert!(ended.remaining.is_some_and(|left| left > Duration::from_secs(3_500)), "{ended}");

    let renewing = tokio::spawn(fleeting(Arc::clone(&here)));
    here.inside.notified().await;
    for (renewed, state, in_this_process) in
        [(told().await, HERE, true), (elsewhere().await, ELSEWHERE, false)]
    {
        let follows = Source::OtherLoad { in_this_process };
        assert_eq!((&renewed.source, renewed.renewal), (&follows, Some(state)), "{renewed}");
    }
    here.go.notify_one();
    assert_eq!(renewing.await.unwrap(), Ok(1), "the last value");
    let stale = told().await;
    assert_eq!(stale.source, Source::Stale, "{stale}");
    pause(&stale);
    // Others do not know of the pause, and may try as soon as the claim has been given back.
    let ended = when(&elsewhere, |told| told.renewal.is_none()).await;
    assert_eq!(ended.source, load(Miss::Ended), "{ended}");
    when(&told, |told| told.source == load(Miss::Ended)).await;
}
