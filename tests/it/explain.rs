//! `explain()`: each state of an entry is told as a call would find it, and telling changes nothing.

mod aging;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

use keylatch::codec::Compression;
use keylatch::codec::envelope::{Envelope, Header, WriterId, encode};
use keylatch::explanation::{Explanation, Miss, SlotState, Source, StampCondition, StampKind};
use keylatch::{CachedCall, Key, Keylatch, cache_invalidate, cache_put, cached};
use tokio::sync::Notify;

use crate::support::{RedisServer, builder, keylatch};

struct Db {
    keylatch: Keylatch,
    loads: AtomicU64,
    /// Told when a body runs that waits.
    inside: Notify,
    go: Notify,
}

impl Db {
    fn on(keylatch: Keylatch) -> Arc<Self> {
        Arc::new(Self { keylatch, loads: AtomicU64::new(0), inside: Notify::new(), go: Notify::new() })
    }
}

#[cached(
    key = "told:{id}", ttl = "1h", tags = ["told", "told:{id}"], compress = lz4, compress_above = 100, skip(db),
    using = db.keylatch
)]
async fn told(db: &Db, id: u64) -> String {
    db.loads.fetch_add(1, Ordering::SeqCst);
    if id == 9 {
        db.inside.notify_one();
        db.go.notified().await;
    }
    "a text of which there is much; ".repeat(usize::try_from(id).unwrap_or(1))
}

#[cached(key = "made:{id}", ttl = "1h", skip(db), using = db.keylatch)]
async fn made(db: &Db, id: u64) -> usize {
    told(db, id).await.len()
}

#[cache_invalidate(told(db, id), when = around, using = db.keylatch)]
async fn write_around(db: &Db, id: u64) {
    db.inside.notify_one();
    db.go.notified().await;
}

#[cache_invalidate(tags = ["told"], when = around, using = db.keylatch)]
async fn write_tag_around(db: &Db) {
    db.inside.notify_one();
    db.go.notified().await;
}

#[cache_put(told(db, id))]
async fn write_put(db: &Db, id: u64) -> String {
    db.inside.notify_one();
    db.go.notified().await;
    "put".repeat(usize::try_from(id).unwrap_or(1))
}

fn stamp(explanation: &Explanation, kind: StampKind, end: &str) -> StampCondition {
    let mut found = explanation.stamps.iter().filter(|stamp| stamp.kind == kind && stamp.name.ends_with(end));
    found.next().unwrap_or_else(|| panic!("no stamp {kind:?} {end}: {explanation}")).state
}

async fn both(test: impl AsyncFn(Keylatch)) {
    test(Keylatch::in_memory()).await;
    let server = RedisServer::start();
    test(keylatch(&server)).await;
}

const fn load(because: Miss) -> Source {
    Source::Load { because }
}

#[tokio::test]
async fn an_entry_tells_everything_about_itself() {
    both(async |cache| {
        let db = Db::on(cache);
        let empty = told(&db, 5).explain().await;
        assert_eq!((&empty.source, empty.slot), (&load(Miss::Absent), SlotState::Absent), "{empty}");
        assert_eq!(stamp(&empty, StampKind::Tag, "told:5"), StampCondition::Missing);

        let before = SystemTime::now() - Duration::from_millis(2);
        told(&db, 5).await;
        let told_now = told(&db, 5).explain().await;
        assert_eq!(told_now.source, Source::Entry);
        assert_eq!(told_now.slot, SlotState::Value);
        assert!(told_now.key.ends_with(":told:5") && told_now.function.ends_with("explain::told"));
        let left = told_now.remaining.unwrap();
        assert!(left > Duration::from_secs(3590) && left <= Duration::from_secs(3600));
        let entry = told_now.entry.as_ref().unwrap();
        assert!(entry.written_at >= before && entry.written_at <= SystemTime::now());
        assert_eq!(entry.written_by, Some(WriterId::current()));
        assert_eq!(entry.codec, 1);
        assert!(entry.fingerprint_matches && !entry.is_absence);
        assert_eq!(entry.compression, Some(Compression::Lz4.name()));
        assert!(entry.payload_bytes < entry.decompressed_bytes.unwrap());
        assert!(entry.envelope_bytes > entry.payload_bytes);
        assert_eq!(told_now.stamps.len(), 4);
        assert!(told_now.stamps.iter().all(|stamp| stamp.state == StampCondition::Current));

        let text = told_now.to_string();
        for line in ["answer    the stored value", "by this process", "by lz4", "stamp     tag", "everything"]
        {
            assert!(text.contains(line), "{text}");
        }
        assert!(!text.contains("a text of which"), "no value");
        let json = serde_json::to_value(&told_now).unwrap();
        assert_eq!(json["source"], "entry");
        assert_eq!(json["stamps"][0]["kind"], "everything");

        let refreshed = told(&db, 5).refresh().explain().await;
        assert_eq!(refreshed.source, load(Miss::Refresh));
        let bypassed = told(&db, 5).bypass().explain().await;
        assert!(matches!(bypassed.source, Source::Body { .. }) && bypassed.entry.is_some());
        assert_eq!(db.loads.load(Ordering::SeqCst), 1, "no body ran");
    })
    .await;
}

#[cached(key = "counted", ttl = "1h", skip_all, using = keylatch)]
async fn counted(keylatch: &Keylatch) -> u64 {
    1
}

#[tokio::test]
async fn it_counts_as_nothing() {
    both(async |cache| {
        counted(&cache).await;
        let stats = || keylatch::stats().into_iter().find(|stats| stats.name.ends_with("explain::counted"));
        let before = stats();
        assert_eq!(counted(&cache).explain().await.source, Source::Entry);
        counted(&cache).invalidate_all().await.unwrap();
        let invalidated = stats();
        assert_eq!(counted(&cache).explain().await.source, load(Miss::Invalidated));
        assert_eq!(stats(), invalidated);
        assert_eq!((before.as_ref().map(|stats| stats.hits)), invalidated.map(|stats| stats.hits));
    })
    .await;
}

#[tokio::test]
async fn whatever_killed_it_is_named() {
    both(async |cache| {
        let db = Db::on(cache);
        let ways: [(&str, StampKind, &str); 4] = [
            ("tag", StampKind::Tag, "told:5"),
            ("function", StampKind::Function, "told:%7B%7D"),
            ("everything", StampKind::Everything, "#all"),
            ("entry", StampKind::Entry, "told:5}#stamp"),
        ];
        for (way, kind, end) in ways {
            made(&db, 5).await;
            match way {
                "tag" => db.keylatch.invalidate_tag(Key::of("told").part(&5)).await.unwrap(),
                "function" => told(&db, 5).invalidate_all().await.unwrap(),
                "everything" => db.keylatch.clear().await.unwrap(),
                _ => told(&db, 5).invalidate().await.unwrap(),
            }
            // It was made from the other, so that is to blame, too.
            let explanation = made(&db, 5).explain().await;
            assert_eq!(explanation.source, load(Miss::Invalidated), "{way}: {explanation}");
            assert_eq!(stamp(&explanation, kind, end), StampCondition::Missing, "{way}: {explanation}");
            if way == "tag" {
                // Made anew by another load.
                told(&db, 5).await;
                let explanation = made(&db, 5).explain().await;
                assert_eq!(stamp(&explanation, kind, end), StampCondition::Changed, "{explanation}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn loads_and_writes_under_way() {
    both(async |cache| {
        let db = Db::on(cache);
        let run = |what: u8| {
            let db = Arc::clone(&db);
            tokio::spawn(async move {
                match what {
                    0 => drop(told(&db, 9).await),
                    1 => write_around(&db, 3).await,
                    _ => drop(write_put(&db, 3).await),
                }
            })
        };
        let loading = run(0);
        db.inside.notified().await;
        let explanation = told(&db, 9).explain().await;
        assert_eq!(explanation.source, Source::OtherLoad { in_this_process: true }, "{explanation}");
        assert_eq!((explanation.slot, explanation.entry), (SlotState::Lease, None));
        db.go.notify_one();
        loading.await.unwrap();
        assert_eq!(told(&db, 9).explain().await.source, Source::Entry, "the claim was left alone");

        told(&db, 3).await;
        let writing = run(1);
        db.inside.notified().await;
        let explanation = told(&db, 3).explain().await;
        assert_eq!(
            (&explanation.source, explanation.slot),
            (&Source::Held, SlotState::Hold),
            "{explanation}"
        );
        db.go.notify_one();
        writing.await.unwrap();
        assert_eq!(told(&db, 3).explain().await.source, load(Miss::Absent));

        // A tag that is held keeps whatever has it from being stored, and is named.
        told(&db, 4).await;
        let writing = {
            let db = Arc::clone(&db);
            tokio::spawn(async move { write_tag_around(&db).await })
        };
        db.inside.notified().await;
        let explanation = told(&db, 4).explain().await;
        assert_eq!(
            (&explanation.source, explanation.slot),
            (&Source::Held, SlotState::Value),
            "{explanation}"
        );
        assert_eq!(stamp(&explanation, StampKind::Tag, "#tag:told"), StampCondition::Held);
        assert_eq!(stamp(&explanation, StampKind::Tag, "#tag:told:4"), StampCondition::Current);
        db.go.notify_one();
        writing.await.unwrap();

        let putting = run(2);
        db.inside.notified().await;
        let explanation = told(&db, 3).explain().await;
        assert_eq!((&explanation.source, explanation.slot), (&load(Miss::PutUnderWay), SlotState::Mark));
        db.go.notify_one();
        putting.await.unwrap();
        let explanation = told(&db, 3).explain().await;
        assert_eq!(explanation.source, Source::Entry, "the mark was left alone");
        assert_eq!(explanation.entry.unwrap().load_time, Duration::ZERO, "nobody loaded it");
    })
    .await;
}

#[tokio::test]
async fn entries_of_others() {
    let server = RedisServer::start();
    let (cache, other) = (keylatch(&server), keylatch(&server));
    let entry = |cache: &Keylatch| cache.entry("shared").ttl(Duration::from_secs(60));
    entry(&cache).put(1_u64).await.unwrap();
    let explanation = entry(&other).explain::<u64>().await;
    assert_eq!(explanation.source, Source::Entry, "{explanation}");
    // Another type, another version.
    let explanation = entry(&other).explain::<String>().await;
    assert_eq!(explanation.source, load(Miss::OtherShape));
    assert!(!explanation.entry.as_ref().unwrap().fingerprint_matches);
    assert_eq!(entry(&other).version(2).explain::<u64>().await.source, load(Miss::OtherShape));
    // A tag that the entry was written without.
    let tagged = entry(&other).tag("new").explain::<u64>().await;
    assert_eq!(tagged.source, load(Miss::Invalidated));
    assert_eq!(stamp(&tagged, StampKind::Tag, "new"), StampCondition::NotNamed);

    // By another process, and by a build that did not say by whom.
    let mut connection = other.connection().unwrap();
    let bytes: Vec<u8> = redis::cmd("GET").arg("test:shared").query_async(&mut connection).await.unwrap();
    for writer in [Some(WriterId::from_bytes([1, 0, 0, 0, 2, 0, 0, 0])), None] {
        let read = Envelope::decode(&bytes).unwrap();
        let header = Header { writer, written_at_ms: u64::MAX, ..read.header };
        let forged = encode(header, read.stamps, |out| {
            out.extend_from_slice(read.payload);
            Ok(())
        })
        .unwrap();
        let () = redis::cmd("SET").arg("test:shared").arg(forged).query_async(&mut connection).await.unwrap();
        let explanation = entry(&other).explain::<u64>().await;
        assert_eq!(explanation.source, Source::Entry);
        assert_eq!(explanation.entry.as_ref().unwrap().written_by, writer);
        let text = explanation.to_string();
        assert_eq!(text.contains("by process 1 on host 00000002"), writer.is_some(), "{text}");
        assert!(text.contains("ahead of this clock"), "{text}");
    }

    server.command("SET test:shared hello").unwrap();
    let explanation = entry(&other).explain::<u64>().await;
    assert_eq!((&explanation.source, explanation.slot), (&load(Miss::Foreign), SlotState::Foreign));
    assert_eq!(explanation.remaining, None, "it has no end");
    server.command("SET test:shared Vello").unwrap();
    let explanation = entry(&other).explain::<u64>().await;
    assert!(matches!(explanation.source, Source::Load { because: Miss::Undecodable(_) }), "{explanation}");
}

#[tokio::test]
async fn the_load_of_another_process() {
    let server = RedisServer::start();
    let (db, other) = (Db::on(keylatch(&server)), Db::on(keylatch(&server)));
    let loading = tokio::spawn({
        let db = Arc::clone(&db);
        async move { told(&db, 9).await }
    });
    db.inside.notified().await;
    let explanation = told(&other, 9).explain().await;
    assert_eq!(explanation.source, Source::OtherLoad { in_this_process: false }, "{explanation}");
    db.go.notify_one();
    loading.await.unwrap();
}

#[tokio::test]
async fn a_server_that_is_down() {
    let mut server = RedisServer::start();
    let db = Db::on(builder(&server).build().unwrap());
    let bare = Db::on(builder(&server).outage_memory_limit(0).build().unwrap());
    told(&db, 5).await;
    told(&bare, 5).await;
    assert!(!told(&db, 5).explain().await.store.is_refuge);
    server.kill();
    // A failed command opens it.
    let _failed = (told(&db, 5).invalidate().await, told(&bare, 5).invalidate().await);
    let explanation = told(&db, 5).explain().await;
    assert!(explanation.store.is_refuge, "{explanation}");
    assert_eq!(explanation.source, load(Miss::Absent), "the refuge is empty");
    assert!(explanation.store.pending_invalidations > 0);
    assert!(
        explanation.to_string().contains("breaker open") || explanation.to_string().contains("half open")
    );
    told(&db, 5).await;
    assert_eq!(told(&db, 5).explain().await.source, Source::Entry, "and then it serves");

    let explanation = told(&bare, 5).explain().await;
    assert!(matches!(explanation.source, Source::Invalidations | Source::Body { .. }), "{explanation}");
    assert_eq!((explanation.slot, explanation.entry), (SlotState::Unknown, None));
}

#[tokio::test]
async fn a_shut_down_instance() {
    let db = Db::on(Keylatch::in_memory());
    told(&db, 5).await;
    db.keylatch.shutdown(Duration::ZERO).await;
    assert!(matches!(told(&db, 5).explain().await.source, Source::Body { .. }));
}
