//! Calls that are given up half-way, after each of their steps, as when a client hangs up: nobody waits for what they leave, a write that has
//! happened is seen, and nothing stays that was made from what was replaced.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedBatch, CachedCall, Keylatch, cache_invalidate, cache_put, cached};

use crate::support::dropped::dropped_after;
use crate::support::{RedisServer, builder, keylatch, until};

/// Less than the ten seconds that a lease lives which nobody gives back.
const SOON: Duration = Duration::from_secs(5);

/// Gives a call up after its first poll, its second and so on until it is done by then: at once, and when what it waits for has had time to
/// happen. `step` is told after how many polls, and which of the two; whether the call was done. How often it was not.
async fn after_each_step(mut step: impl AsyncFnMut(u32, bool) -> bool) -> u32 {
    let mut dropped = 0;
    for late in [false, true] {
        let mut polls = 1;
        while !step(polls, late).await {
            polls += 1;
            dropped += 1;
        }
    }
    dropped
}

/// A value is put in two steps, under a lease. Whoever drops it in between must not leave that to readers, who would wait until
/// it ends.
#[tokio::test]
async fn a_dropped_put_leaves_no_lease() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let began = Instant::now();
    let dropped = after_each_step(async |polls, late| {
        let put = dropped_after(cache.entry("dropped").put(7_u8), polls, late).await;
        // Commands of one connection are carried out in their order, so what was sent is there by now.
        cache.lock("barrier").run(async |_lease| ()).await.unwrap();
        until("its lease has gone", || !server.is_leased("test:dropped")).await;
        put
    })
    .await;
    assert!(dropped >= 4, "it was dropped after each step: {dropped}");
    assert!(began.elapsed() < SOON, "a lease was waited for: {:?}", began.elapsed());
}

struct Db {
    cache: Keylatch,
    version: AtomicU64,
    /// Whether the body of a writer has run to its end, or whatever else must be seen from then on has begun.
    written: AtomicBool,
}

#[cached(key = "row:{id}", ttl = "10m", tags = ["rows"], local = off, skip(db), using = db.cache)]
async fn row(db: &Db, id: u64) -> u64 {
    db.version.load(Ordering::SeqCst)
}

#[cached(key = "row:{ids[]}", ttl = "10m", tags = ["rows"], skip(db), using = db.cache)]
async fn rows(db: &Db, ids: Vec<u64>) -> HashMap<u64, u64> {
    ids.into_iter().map(|id| (id, db.version.load(Ordering::SeqCst))).collect()
}

#[cached(key = "made:{id}", ttl = "10m", local = off, skip(db), using = db.cache)]
async fn made(db: &Db, id: u64) -> u64 {
    row(db, id).await
}

impl Db {
    fn on(server: &RedisServer) -> Arc<Self> {
        let cache = builder(server).build().expect("good settings");
        Arc::new(Self { cache, version: AtomicU64::new(1), written: AtomicBool::new(false) })
    }

    fn write(&self) -> u64 {
        self.written.store(true, Ordering::SeqCst);
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[cache_put(row(db, id))]
async fn put_by(db: &Db, id: u64) -> u64 {
    db.write()
}

#[cache_invalidate(row(db, id))]
async fn invalidate_by(db: &Db, id: u64) -> u64 {
    db.write() + id
}

#[cache_invalidate(tags = ["rows"], using = db.cache)]
async fn invalidate_tag_by(db: &Db) -> u64 {
    db.write()
}

/// Replaces a row in that way, given up after each of its steps. If the new row is there afterwards, what was made from the old one is
/// not, at the latest when what was left behind has been carried out.
async fn nothing_made_from_the_old_row_stays(replace: impl AsyncFn(Arc<Db>, u64)) {
    let server = RedisServer::start();
    let db = Db::on(&server);
    let mut replaced = 0;
    let dropped = after_each_step(async |polls, late| {
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
        done
    })
    .await;
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

/// Writes in that way, given up after each of its steps. From when the write has happened, it is seen: by this process at once, by others as
/// soon as the server has been told.
async fn what_is_written_is_seen(write: impl AsyncFn(Arc<Db>)) {
    let server = RedisServer::start();
    let (db, other) = (Db::on(&server), Db::on(&server));
    let mut written = 0;
    let dropped = after_each_step(async |polls, late| {
        assert_eq!(made(&db, 1).await, row(&db, 1).await);
        db.written.store(false, Ordering::SeqCst);
        let done = dropped_after(write(Arc::clone(&db)), polls, late).await;
        if db.written.load(Ordering::SeqCst) {
            written += 1;
            let version = db.version.load(Ordering::SeqCst);
            assert_eq!(row(&db, 1).await, version, "given up after {polls} polls: an old row");
            assert_eq!(made(&db, 1).await, version, "given up after {polls} polls: made from an old row");
            let began = Instant::now();
            while row(&other, 1).peek().await.expect("the store is up").is_some_and(|row| row != version) {
                assert!(began.elapsed() < SOON, "given up after {polls} polls: an old row elsewhere");
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        }
        done
    })
    .await;
    assert!(dropped >= 2, "it was given up after each step: {dropped}");
    assert!(written > 2, "it was given up behind the write, too: {written}");
}

#[tokio::test]
async fn a_writer_that_puts() {
    what_is_written_is_seen(async |db| {
        put_by(&db, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_invalidates() {
    what_is_written_is_seen(async |db| {
        invalidate_by(&db, 1).await;
    })
    .await;
}

#[tokio::test]
async fn a_writer_that_invalidates_a_tag() {
    what_is_written_is_seen(async |db| {
        invalidate_tag_by(&db).await;
    })
    .await;
}

#[tokio::test]
async fn an_invalidation() {
    what_is_written_is_seen(async |db| {
        db.write();
        row(&db, 1).invalidate().await.expect("the store is up");
    })
    .await;
}

#[tokio::test]
async fn an_invalidation_of_a_batch() {
    what_is_written_is_seen(async |db| {
        db.write();
        rows(&db, vec![1]).invalidate().await.expect("the store is up");
    })
    .await;
}
