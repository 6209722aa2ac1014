//! Calls that are given up half-way, after each of their steps: nobody waits for what they leave, and nothing stays that was made from
//! what they replaced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedBatch, CachedCall, Keylatch, cache_put, cached};

use crate::support::dropped::dropped_after;
use crate::support::{RedisServer, builder, keylatch, until};

/// Less than the ten seconds that a lease lives which nobody gives back.
const SOON: Duration = Duration::from_secs(5);

/// A value is put in two steps, under a lease. Whoever drops it in between must not leave that to readers, who would wait until
/// it ends.
#[tokio::test]
async fn a_dropped_put_leaves_no_lease() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let (mut dropped, began) = (0, Instant::now());
    for late in [false, true] {
        for polls in 1.. {
            let put = dropped_after(cache.entry("dropped").put(7_u8), polls, late).await;
            // Commands of one connection are carried out in their order, so what was sent is there by now.
            cache.lock("barrier").run(async |_lease| ()).await.unwrap();
            until("its lease has gone", || {
                let slot = server.query(&["GETRANGE", "test:dropped", "0", "0"]).expect("it answers");
                redis::from_redis_value::<String>(slot).expect("text") != "L"
            })
            .await;
            if put {
                break;
            }
            dropped += 1;
        }
    }
    assert!(dropped >= 4, "it was dropped after each step: {dropped}");
    assert!(began.elapsed() < SOON, "a lease was waited for: {:?}", began.elapsed());
}

struct Db {
    cache: Keylatch,
    version: AtomicU64,
}

#[cached(key = "row:{id}", ttl = "10m", local = off, skip(db), using = db.cache)]
async fn row(db: &Db, id: u64) -> u64 {
    db.version.load(Ordering::SeqCst)
}

#[cached(key = "row:{ids[]}", ttl = "10m", skip(db), using = db.cache)]
async fn rows(db: &Db, ids: Vec<u64>) -> HashMap<u64, u64> {
    ids.into_iter().map(|id| (id, db.version.load(Ordering::SeqCst))).collect()
}

#[cached(key = "made:{id}", ttl = "10m", local = off, skip(db), using = db.cache)]
async fn made(db: &Db, id: u64) -> u64 {
    row(db, id).await
}

#[cache_put(row(db, id))]
async fn write(db: &Db, id: u64) -> u64 {
    db.version.load(Ordering::SeqCst)
}

/// Replaces a row in that way, given up after each of its steps. If the new row is there afterwards, what was made from the old one is
/// not, at the latest when what was left behind has been carried out.
async fn nothing_made_from_the_old_row_stays(replace: impl AsyncFn(Arc<Db>, u64)) {
    let server = RedisServer::start();
    let db =
        Arc::new(Db { cache: builder(&server).build().expect("good settings"), version: AtomicU64::new(1) });
    let (mut dropped, mut replaced) = (0, 0);
    for late in [false, true] {
        for polls in 1.. {
            assert_eq!(made(&db, 1).await, row(&db, 1).await);
            let version = db.version.fetch_add(1, Ordering::SeqCst) + 1;
            let done = dropped_after(replace(Arc::clone(&db), version), polls, late).await;
            let began = Instant::now();
            loop {
                let row = row(&db, 1).await;
                if made(&db, 1).await == row {
                    replaced += u32::from(row == version);
                    break;
                }
                assert!(began.elapsed() < SOON, "given up after {polls} polls: it is made from an old row");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            if done {
                break;
            }
            dropped += 1;
        }
    }
    assert!(dropped >= 4, "it was given up after each step: {dropped}");
    assert!(replaced > 2, "it was given up behind the step that replaces, too: {replaced}");
}

#[tokio::test]
async fn a_refresh() {
    nothing_made_from_the_old_row_stays(async |db, _| {
        row(&db, 1).refresh().await;
    })
    .await;
}

#[tokio::test]
async fn a_refresh_of_a_batch() {
    nothing_made_from_the_old_row_stays(async |db, _| {
        rows(&db, vec![1]).refresh().await;
    })
    .await;
}

#[tokio::test]
async fn a_put() {
    nothing_made_from_the_old_row_stays(async |db, version| {
        row(&db, 1).put(version).await.expect("the store is up");
    })
    .await;
}

#[tokio::test]
async fn a_put_of_a_writer() {
    nothing_made_from_the_old_row_stays(async |db, _| {
        write(&db, 1).await;
    })
    .await;
}
