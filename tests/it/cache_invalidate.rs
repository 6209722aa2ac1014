//! `#[cache_invalidate]` through the public crate: what goes, when, and what a writer that ends badly leaves behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::FutureExt;
use keylatch::{CachedCall, Keylatch, cache_invalidate, cached};
use tokio::sync::Notify;

use crate::support::{RedisServer, keylatch};

struct Db {
    keylatch: Keylatch,
    version: AtomicU64,
    /// Lets a writer's body go on.
    go: Notify,
}

impl Db {
    fn on(keylatch: Keylatch) -> Arc<Self> {
        Arc::new(Self { keylatch, version: AtomicU64::new(1), go: Notify::new() })
    }

    fn write(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Refused;

#[cached(key = "row:{id}", ttl = "1h", tags = ["rows", "group:{group}"], skip(db, group), using = db.keylatch)]
async fn row(db: &Db, group: &str, id: u64) -> u64 {
    db.version.load(Ordering::SeqCst)
}

#[cached(key = "report:{id}", ttl = "1h", skip(db), using = db.keylatch)]
async fn report(db: &Db, id: u64) -> u64 {
    row(db, "g", id).await
}

#[cache_invalidate(row(db, "g", id), using = db.keylatch)]
async fn write(db: &Db, id: u64, succeed: bool) -> Result<u64, Refused> {
    let version = db.write();
    if succeed { Ok(version) } else { Err(Refused) }
}

#[cache_invalidate(row(db, "g", *result), if = *result > 1, using = db.keylatch)]
async fn write_named_by_the_result(db: &Db, id: u64) -> Result<u64, Refused> {
    db.write();
    Ok(id)
}

#[cache_invalidate(tags = ["group:{group}"], using = db.keylatch)]
async fn write_group(db: &Db, group: String) {
    drop(group);
    db.write();
}

#[cache_invalidate(patterns = ["row:{prefix}*"], using = db.keylatch)]
async fn write_matching(db: &Db, prefix: &str) {
    db.write();
}

async fn cached_row(db: &Db, id: u64) -> Option<u64> {
    row(db, "g", id).peek().await.expect("the store is up")
}

#[tokio::test]
async fn after_success_only() {
    let db = Db::on(Keylatch::in_memory());
    assert_eq!(row(&db, "g", 1).await, 1);
    assert_eq!(write(&db, 1, false).await, Err(Refused));
    assert_eq!(cached_row(&db, 1).await, Some(1));
    assert_eq!(write(&db, 1, true).await, Ok(3));
    assert_eq!(cached_row(&db, 1).await, None);
    assert_eq!(row(&db, "g", 1).await, 3);
}

#[tokio::test]
async fn the_result_names_the_entry() {
    let db = Db::on(Keylatch::in_memory());
    let (one, two) = (row(&db, "g", 1).await, row(&db, "g", 2).await);
    write_named_by_the_result(&db, 1).await.unwrap();
    assert_eq!(cached_row(&db, 1).await, Some(one), "`if` said no");
    write_named_by_the_result(&db, 2).await.unwrap();
    assert_eq!(cached_row(&db, 2).await, None);
    assert_eq!(cached_row(&db, 1).await, Some(two));
}

#[tokio::test]
async fn tags_and_patterns() {
    let db = Db::on(Keylatch::in_memory());
    for id in [1, 20, 21] {
        row(&db, if id == 1 { "a" } else { "b" }, id).await;
    }
    write_group(&db, "a".to_owned()).await;
    assert_eq!(row(&db, "a", 1).peek().await.unwrap(), None);
    assert!(row(&db, "b", 20).peek().await.unwrap().is_some());
    write_matching(&db, "*").await;
    assert!(row(&db, "b", 20).peek().await.unwrap().is_some(), "an argument cannot widen a pattern");
    write_matching(&db, "2").await;
    assert_eq!(row(&db, "b", 20).peek().await.unwrap(), None);
    assert_eq!(row(&db, "b", 21).peek().await.unwrap(), None);
}

/// What the writer's body does once it has written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Well,
    Badly,
    InPanic,
    Never,
}

#[cache_invalidate(row(db, "g", id), tags = ["rows"], when = around, using = db.keylatch)]
async fn write_around(db: &Db, id: u64, end: End) -> Result<u64, Refused> {
    db.go.notified().await;
    let version = db.write();
    match end {
        End::Well => Ok(version),
        End::Badly => Err(Refused),
        End::InPanic => panic!("the writer panics on purpose"),
        End::Never => std::future::pending().await,
    }
}

/// A writer that holds `row(1)`, waiting to be let go on.
fn writer(db: &Arc<Db>, end: End) -> tokio::task::JoinHandle<Option<Result<u64, Refused>>> {
    let db = Arc::clone(db);
    tokio::spawn(
        async move { std::panic::AssertUnwindSafe(write_around(&db, 1, end)).catch_unwind().await.ok() },
    )
}

/// Waits until `row(1)` is no longer stored when it is loaded: then it is held.
async fn held(db: &Db) {
    loop {
        row(db, "g", 1).await;
        if cached_row(db, 1).await.is_none() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

async fn nothing_stale_is_left(db: Arc<Db>, end: End) {
    assert_eq!(row(&db, "g", 1).await, 1);
    assert_eq!(report(&db, 1).await, 1);
    let writer = writer(&db, end);
    held(&db).await;
    // While the body runs, readers are answered and nothing is stored: not the row, nor what is made from it, nor another
    // row with the held tag.
    assert_eq!(row(&db, "g", 1).await, 1);
    assert_eq!(report(&db, 1).await, 1);
    assert_eq!(row(&db, "g", 2).await, 1);
    assert_eq!(report(&db, 1).peek().await.unwrap(), None);
    assert_eq!(cached_row(&db, 2).await, None);

    db.go.notify_one();
    if end == End::Never {
        while db.version.load(Ordering::SeqCst) == 1 {
            tokio::task::yield_now().await;
        }
        writer.abort();
        let _aborted = writer.await;
    } else {
        let ended = writer.await.expect("the panic was caught");
        assert_eq!(ended.is_none(), end == End::InPanic);
    }
    assert_eq!(row(&db, "g", 1).await, 2, "the old value is never seen again");
    assert_eq!(report(&db, 1).await, 2);
    if matches!(end, End::Well | End::Badly) {
        assert_eq!(cached_row(&db, 1).await, Some(2), "the hold is gone at once");
    } else {
        assert_eq!(cached_row(&db, 1).await, None, "the hold guards what the writer may have done");
    }
}

#[tokio::test]
async fn around_leaves_nothing_stale_however_it_ends() {
    let server = RedisServer::start();
    for end in [End::Well, End::Badly, End::InPanic, End::Never] {
        nothing_stale_is_left(Db::on(Keylatch::in_memory()), end).await;
        let on_redis = keylatch(&server);
        on_redis.clear().await.unwrap();
        server.command("FLUSHALL").expect("the server answers");
        nothing_stale_is_left(Db::on(on_redis), end).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_hold_of_a_dropped_writer_expires() {
    let db = Db::on(Keylatch::in_memory());
    nothing_stale_is_left(Arc::clone(&db), End::Never).await;
    tokio::time::advance(Duration::from_secs(11)).await;
    assert_eq!(row(&db, "g", 1).await, 2);
    assert_eq!(cached_row(&db, 1).await, Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_hold_lasts_as_long_as_its_writer() {
    let db = Db::on(Keylatch::in_memory());
    row(&db, "g", 1).await;
    let writer = writer(&db, End::Well);
    held(&db).await;
    for _ in 0..60 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        row(&db, "g", 1).await;
        assert_eq!(cached_row(&db, 1).await, None);
    }
    db.go.notify_one();
    assert_eq!(writer.await.unwrap(), Some(Ok(2)));
    assert_eq!(row(&db, "g", 1).await, 2);
}

#[tokio::test(start_paused = true)]
async fn writers_that_overlap_do_not_uncover_each_other() {
    let db = Db::on(Keylatch::in_memory());
    row(&db, "g", 1).await;
    let first = writer(&db, End::Well);
    held(&db).await;
    let second = writer(&db, End::Never);
    tokio::time::sleep(Duration::from_millis(10)).await;
    // One of the two ends well; the other is still at it. An invalidation by a third changes nothing about that.
    db.go.notify_one();
    tokio::time::sleep(Duration::from_millis(10)).await;
    write(&db, 1, true).await.unwrap();
    row(&db, "g", 1).await;
    assert_eq!(cached_row(&db, 1).await, None, "somebody still writes");
    first.abort();
    second.abort();
}

#[cached(key = "lagging:{id}", ttl = "1h", hold_off = "2s", skip(db), using = db.keylatch)]
async fn lagging(db: &Db, id: u64) -> u64 {
    db.version.load(Ordering::SeqCst)
}

#[tokio::test(start_paused = true)]
async fn hold_off_keeps_a_lagging_replica_out() {
    let db = Db::on(Keylatch::in_memory());
    lagging(&db, 1).await;
    lagging(&db, 1).invalidate().await.unwrap();
    lagging(&db, 1).await;
    assert_eq!(lagging(&db, 1).peek().await.unwrap(), None, "loaded, but not stored");
    tokio::time::advance(Duration::from_secs(2)).await;
    lagging(&db, 1).await;
    assert_eq!(lagging(&db, 1).peek().await.unwrap(), Some(1));
}

struct Service {
    db: Arc<Db>,
}

impl Service {
    #[cached(key = "service:{id}", ttl = "1h", skip(self), using = self.db.keylatch)]
    async fn get(&self, id: u64) -> u64 {
        self.db.version.load(Ordering::SeqCst)
    }

    #[cache_invalidate(self.get(id), using = self.db.keylatch)]
    async fn set(&mut self, id: u64) {
        self.db.write();
    }
}

#[tokio::test]
async fn methods() {
    let mut service = Service { db: Db::on(Keylatch::in_memory()) };
    assert_eq!(service.get(1).await, 1);
    service.set(1).await;
    assert_eq!(service.get(1).await, 2);
}
