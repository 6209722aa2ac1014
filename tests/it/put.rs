//! `#[cache_put]`: what a writer returns is the entry afterwards, or the entry is gone; never is it from before the write.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use keylatch::{CachedCall, Key, Keylatch, cache_invalidate, cache_put, cached};
use tokio::sync::Notify;

use crate::support::{RedisServer, builder, keylatch};

struct Db {
    keylatch: Keylatch,
    version: AtomicU64,
    loads: AtomicU64,
    /// Told when a writer's body has written.
    written: Notify,
    /// Lets that body end.
    go: Notify,
}

impl Db {
    fn on(keylatch: Keylatch) -> Arc<Self> {
        let (version, loads) = (AtomicU64::new(1), AtomicU64::new(0));
        Arc::new(Self { keylatch, version, loads, written: Notify::new(), go: Notify::new() })
    }

    fn write(&self) -> u64 {
        self.version.fetch_add(1, Ordering::SeqCst) + 1
    }
}

#[derive(Debug, PartialEq, Eq)]
struct Refused;

#[cached(key = "row:{id}", ttl = "1h", tags = ["rows"], skip(db), using = db.keylatch)]
async fn row(db: &Db, id: u64) -> Result<u64, Refused> {
    db.loads.fetch_add(1, Ordering::SeqCst);
    Ok(db.version.load(Ordering::SeqCst))
}

#[cached(key = "report:{id}", ttl = "1h", skip(db), using = db.keylatch)]
async fn report(db: &Db, id: u64) -> u64 {
    row(db, id).await.unwrap_or_default()
}

#[cache_put(row(db, id))]
async fn write(db: &Db, id: u64, succeed: bool) -> Result<u64, Refused> {
    let version = db.write();
    if succeed { Ok(version) } else { Err(Refused) }
}

#[cache_put(row(db, *result), row(db, id), if = *result != 4)]
async fn write_several(db: &Db, id: u64) -> u64 {
    db.write().max(id)
}

/// Writes at once and returns late.
#[cache_put(row(db, id))]
async fn write_slowly(db: &Db, id: u64) -> u64 {
    let version = db.write();
    db.written.notify_one();
    db.go.notified().await;
    version
}

async fn stored(db: &Db, id: u64) -> Option<u64> {
    row(db, id).peek().await.expect("the store is up")
}

async fn both(test: impl AsyncFn(Keylatch)) {
    test(Keylatch::in_memory()).await;
    let server = RedisServer::start();
    test(keylatch(&server)).await;
}

#[tokio::test]
async fn the_result_is_the_entry() {
    both(async |cache| {
        let db = Db::on(cache);
        // Over nothing, and over a value.
        for version in [2, 3] {
            assert_eq!(write(&db, 1, true).await, Ok(version));
            assert_eq!(stored(&db, 1).await, Some(version));
            assert_eq!(row(&db, 1).await, Ok(version));
        }
        assert_eq!(db.loads.load(Ordering::SeqCst), 0, "no body ran");
        assert!(
            row(&db, 1).time_to_live().await.unwrap().is_some_and(|left| left > Duration::from_secs(3590))
        );
        db.keylatch.invalidate_tag("rows").await.unwrap();
        assert_eq!(stored(&db, 1).await, None, "it has the function's tags");
    })
    .await;
}

#[tokio::test]
async fn a_failed_writer_leaves_the_entry_as_it_is() {
    let server = RedisServer::start();
    let db = Db::on(keylatch(&server));
    assert_eq!(write(&db, 1, false).await, Err(Refused));
    assert_eq!(server.command("EXISTS test:row:1").as_deref(), Some(":0"), "the mark is taken back");
    write(&db, 1, true).await.unwrap();
    assert_eq!(write(&db, 1, false).await, Err(Refused));
    assert_eq!(stored(&db, 1).await, Some(3));
}

#[tokio::test]
async fn several_entries_and_a_condition() {
    both(async |cache| {
        let db = Db::on(cache);
        assert_eq!(write_several(&db, 7).await, 7);
        assert_eq!(stored(&db, 7).await, Some(7), "named twice");
        assert_eq!(write_several(&db, 1).await, 3);
        assert_eq!((stored(&db, 1).await, stored(&db, 3).await), (Some(3), Some(3)));
        assert_eq!(write_several(&db, 1).await, 4);
        assert_eq!((stored(&db, 1).await, stored(&db, 4).await), (Some(3), None), "`if` said no");
    })
    .await;
}

#[tokio::test]
async fn what_was_made_from_the_old_value_goes() {
    both(async |cache| {
        let db = Db::on(cache);
        assert_eq!(report(&db, 1).await, 1);
        write(&db, 1, true).await.unwrap();
        assert_eq!(report(&db, 1).peek().await.unwrap(), None);
        assert_eq!(report(&db, 1).await, 2);
        // Also over an entry that is only known after the body.
        assert_eq!(write_several(&db, 1).await, 3);
        assert_eq!(report(&db, 1).await, 3);
    })
    .await;
}

/// What happens between a writer's write and its put.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meanwhile {
    Invalidation,
    Tag,
    Function,
    Everything,
    Put,
    OtherWriter,
    Refresh,
    Load,
    LoadUnderWay,
}

impl Meanwhile {
    const ALL: [Self; 9] = [
        Self::Invalidation,
        Self::Tag,
        Self::Function,
        Self::Everything,
        Self::Put,
        Self::OtherWriter,
        Self::Refresh,
        Self::Load,
        Self::LoadUnderWay,
    ];

    async fn happen(self, db: &Db) {
        // Somebody else writes, and knows better from now on.
        let version = db.write();
        match self {
            Self::Invalidation => row(db, 1).invalidate().await.unwrap(),
            Self::Tag => db.keylatch.invalidate_tag("rows").await.unwrap(),
            Self::Function => row(db, 1).invalidate_all().await.unwrap(),
            Self::Everything => db.keylatch.clear().await.unwrap(),
            Self::Put => row(db, 1).put(version).await.unwrap(),
            Self::OtherWriter => drop(write(db, 1, true).await),
            Self::Refresh => drop(row(db, 1).refresh().await),
            Self::Load => {
                row(db, 1).invalidate().await.unwrap();
                row(db, 1).await.unwrap();
            }
            Self::LoadUnderWay => {
                row(db, 1).invalidate().await.unwrap();
                let mut load = Box::pin(row(db, 1));
                // Claimed, and then left alone.
                let _left = tokio::time::timeout(Duration::from_millis(20), &mut load).await;
            }
        }
    }
}

async fn never_older(db: &Arc<Db>, meanwhile: Meanwhile, at_first: bool) {
    if at_first {
        row(db, 1).await.unwrap();
    }
    let writer = tokio::spawn({
        let db = Arc::clone(db);
        async move { write_slowly(&db, 1).await }
    });
    db.written.notified().await;
    meanwhile.happen(db).await;
    db.go.notify_one();
    let written = writer.await.unwrap();
    let current = db.version.load(Ordering::SeqCst);
    assert!(written < current);
    let found = stored(db, 1).await;
    assert_eq!(found, None, "{meanwhile:?}, at first {at_first}: the writer cannot know who is right");
    assert_eq!(row(db, 1).await, Ok(current));
    db.keylatch.clear().await.unwrap();
    row(db, 1).invalidate().await.unwrap();
}

#[tokio::test]
async fn what_has_changed_meanwhile_is_not_overwritten() {
    both(async |cache| {
        let db = Db::on(cache);
        for meanwhile in Meanwhile::ALL {
            never_older(&db, meanwhile, false).await;
            never_older(&db, meanwhile, true).await;
        }
    })
    .await;
}

#[tokio::test]
#[should_panic(expected = "the writer cannot know who is right")]
async fn without_the_check_the_test_bites() {
    let server = RedisServer::start();
    let db = Db::on(builder(&server).without_fill_check().build().unwrap());
    never_older(&db, Meanwhile::Invalidation, true).await;
}

#[tokio::test]
async fn a_load_that_began_before_the_writer_is_voided() {
    both(async |cache| {
        let db = Db::on(cache);
        let old = tokio::spawn({
            let db = Arc::clone(&db);
            async move { slow_entry(&db).await }
        });
        db.written.notified().await;
        assert_eq!(write_slow_entry(&db).await, 2);
        db.go.notify_one();
        assert_eq!(old.await.unwrap(), 1, "its own caller came before the write");
        assert_eq!(slow_entry(&db).peek().await.unwrap(), Some(2));
    })
    .await;
}

#[cached(key = "slow", ttl = "1m", skip(db), using = db.keylatch)]
async fn slow_entry(db: &Db) -> u64 {
    let seen = db.version.load(Ordering::SeqCst);
    db.written.notify_one();
    db.go.notified().await;
    seen
}

#[cache_put(slow_entry(db))]
async fn write_slow_entry(db: &Db) -> u64 {
    db.write()
}

#[cache_put(row(db, id))]
async fn write_after_reading(db: &Db, id: u64) -> Result<u64, Refused> {
    let before = row(db, id).await?;
    assert_eq!(before, db.version.load(Ordering::SeqCst));
    Ok(db.write())
}

#[tokio::test]
async fn nobody_waits_for_a_writer() {
    both(async |cache| {
        let db = Db::on(cache);
        let patience = Duration::from_secs(5);
        // The body itself reads its entry, which is not there.
        let written = tokio::time::timeout(patience, write_after_reading(&db, 1)).await.expect("no deadlock");
        assert_eq!(written, Ok(2));
        assert_eq!(row(&db, 1).await, Ok(2));
        // Others do.
        let writer = tokio::spawn({
            let db = Arc::clone(&db);
            async move { write_slowly(&db, 2).await }
        });
        db.written.notified().await;
        let read = tokio::time::timeout(patience, row(&db, 2)).await.expect("nobody waits");
        assert_eq!(read, Ok(3));
        db.go.notify_one();
        assert_eq!(writer.await.unwrap(), 3);
        assert_eq!(row(&db, 2).await, Ok(3));
    })
    .await;
}

#[tokio::test]
async fn a_dropped_writer_is_in_nobodys_way() {
    both(async |cache| {
        let db = Db::on(cache);
        let writer = tokio::spawn({
            let db = Arc::clone(&db);
            async move { write_slowly(&db, 1).await }
        });
        db.written.notified().await;
        writer.abort();
        assert!(writer.await.unwrap_err().is_cancelled());
        assert_eq!(stored(&db, 1).await, None, "its mark is no entry");
        assert_eq!(row(&db, 1).await, Ok(2));
        assert_eq!(stored(&db, 1).await, Some(2));
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_takes_too_long_invalidates() {
    let db = Db::on(Keylatch::in_memory());
    for (minutes, expected) in [(4, Some(2)), (6, None)] {
        row(&db, 1).invalidate().await.unwrap();
        let writer = tokio::spawn({
            let db = Arc::clone(&db);
            async move { write_slowly(&db, 1).await }
        });
        db.written.notified().await;
        tokio::time::advance(Duration::from_secs(60 * minutes)).await;
        db.go.notify_one();
        writer.await.unwrap();
        assert_eq!(stored(&db, 1).await, expected, "after {minutes} minutes");
    }
}

#[cached(
    key = "picky:{id}", ttl_from = Duration::from_secs(*result), cache_if = *result != 3, skip(db), using = db.keylatch
)]
async fn picky(db: &Db, id: u64) -> u64 {
    db.version.load(Ordering::SeqCst)
}

#[cache_put(picky(db, id))]
async fn write_picky(db: &Db, id: u64) -> u64 {
    db.write()
}

#[tokio::test]
async fn the_functions_own_options_apply() {
    both(async |cache| {
        let db = Db::on(cache);
        assert_eq!(write_picky(&db, 1).await, 2);
        let left = picky(&db, 1).time_to_live().await.unwrap().unwrap();
        assert!(left <= Duration::from_secs(2) && left > Duration::from_secs(1), "{left:?}");
        assert_eq!(write_picky(&db, 1).await, 3);
        assert_eq!(picky(&db, 1).peek().await.unwrap(), None, "declined, and the old value is gone");
    })
    .await;
}

#[cache_put(row(db, id))]
#[cache_invalidate(row(db, id), when = around, using = db.keylatch)]
async fn write_held(db: &Db, id: u64) -> u64 {
    db.write()
}

#[tokio::test]
async fn nothing_is_put_under_a_hold() {
    both(async |cache| {
        let db = Db::on(cache);
        row(&db, 1).await.unwrap();
        assert_eq!(write_held(&db, 1).await, 2);
        assert_eq!(stored(&db, 1).await, None);
        assert_eq!(row(&db, 1).await, Ok(2));
    })
    .await;
}

struct Service {
    db: Arc<Db>,
    names: Vec<String>,
}

impl Service {
    #[cached(key = "named:{name}", ttl = "1h", skip(self), using = self.db.keylatch)]
    async fn find(&self, name: &str) -> Option<u64> {
        Some(self.db.version.load(Ordering::SeqCst)).filter(|_| !name.is_empty())
    }

    #[cache_put(self.find(&name))]
    async fn set(&mut self, name: String) -> Option<u64> {
        self.names.push(name.clone());
        Some(self.db.write())
    }

    #[cache_put(self.find(&format!("row {}", result.unwrap_or_default())))]
    async fn add(&mut self, name: String) -> std::io::Result<Option<u64>> {
        self.names.push(name);
        Ok(Some(self.db.write()))
    }
}

#[tokio::test]
async fn methods_that_change_themselves() {
    let mut service = Service { db: Db::on(Keylatch::in_memory()), names: Vec::new() };
    assert_eq!(service.set("a".to_owned()).await, Some(2));
    assert_eq!(service.find("a").peek().await.unwrap(), Some(Some(2)));
    service.add("b".to_owned()).await.unwrap();
    assert_eq!(service.find("row 3").peek().await.unwrap(), Some(Some(3)));
    assert_eq!(service.names, ["a", "b"]);
}

#[tokio::test]
async fn a_server_that_is_down_is_not_the_writers_concern() {
    let mut server = RedisServer::start();
    let db = Db::on(keylatch(&server));
    row(&db, 1).await.unwrap();
    server.kill();
    assert_eq!(write(&db, 1, true).await, Ok(2));
    assert_eq!(write_several(&db, 1).await, 3);
    assert_eq!(row(&db, 1).await, Ok(3), "and nobody is told what was before");
    server.restart();
    assert_eq!(row(&db, 1).await, Ok(3));
}

/// Writers that overlap, readers and invalidations, all at random; then what is cached is compared with the source.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn torture() {
    let server = RedisServer::start();
    for cache in [Keylatch::in_memory(), keylatch(&server)] {
        let mut cached = 0;
        let mut rng = Rng::with_seed(11);
        for _round in 0..40 {
            let db = Db::on(cache.clone());
            let id = rng.u64(..);
            let mut actors = tokio::task::JoinSet::new();
            for _ in 0..2 + rng.usize(..3) {
                let (db, mut rng) = (Arc::clone(&db), rng.fork());
                actors.spawn(async move {
                    tokio::time::sleep(Duration::from_micros(rng.u64(..6000))).await;
                    match rng.u8(..4) {
                        0 => drop(row(&db, id).await),
                        1 => {
                            db.write();
                            row(&db, id).invalidate().await.unwrap();
                        }
                        _ => drop(write_at_random(&db, id, rng).await),
                    }
                });
            }
            while let Some(ended) = actors.join_next().await {
                ended.expect("no actor panics");
            }
            if let Some(found) = stored(&db, id).await {
                cached += 1;
                assert_eq!(found, db.version.load(Ordering::SeqCst), "stale");
            }
        }
        assert!(cached > 0, "something was put");
        cache.invalidate_tag(Key::of("rows")).await.unwrap();
    }
}

#[cache_put(row(db, id))]
async fn write_at_random(db: &Db, id: u64, mut rng: Rng) -> u64 {
    tokio::time::sleep(Duration::from_micros(rng.u64(..2000))).await;
    let version = db.write();
    tokio::time::sleep(Duration::from_micros(rng.u64(..2000))).await;
    version
}
