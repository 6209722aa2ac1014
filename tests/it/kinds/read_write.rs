//! Shared and exclusive locks: readers together, a writer alone, nobody starves, and who died holds up nobody for longer than
//! its own lease.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Keylatch, LockBuilder, LockError};

use super::{LONG, places};
use crate::support::room::Room;
use crate::support::{RedisServer, child, keylatch, until};

const TTL: Duration = Duration::from_secs(10);

fn shared(cache: &Keylatch) -> LockBuilder {
    cache.lock_shared("report").ttl(TTL).wait(LONG)
}

fn exclusive(cache: &Keylatch) -> LockBuilder {
    cache.lock("report").ttl(TTL).wait(LONG)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn readers_are_together_and_a_writer_is_alone() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let (readers, writers) = (Arc::new(Room::default()), Arc::new(Room::default()));
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..20 {
            let cache = if index % 2 == 0 { one.clone() } else { other.clone() };
            let (readers, writers) = (Arc::clone(&readers), Arc::clone(&writers));
            tasks.spawn(async move {
                for round in 0..6 {
                    let stay = || tokio::time::sleep(Duration::from_millis(1));
                    if (index + round) % 5 == 0 {
                        let write = async |_lease| {
                            let alone = || assert_eq!(readers.inside(), 0, "a reader beside a writer");
                            alone();
                            writers.visit(stay()).await;
                            alone();
                        };
                        exclusive(&cache).run(write).await.unwrap();
                    } else {
                        let read = async |_lease| {
                            readers.visit(stay()).await;
                            assert_eq!(writers.inside(), 0, "a writer beside a reader");
                        };
                        shared(&cache).run(read).await.unwrap();
                    }
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("everybody was let in");
        }
        assert_eq!((readers.entered(), writers.entered()), (96, 24));
        assert_eq!(writers.most(), 1);
        assert!(readers.most() > 1, "readers were never together");
    }
    until("nothing is left on the server", || server.key_count() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_refused_and_who_is_let_in() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let reader = shared(&one).acquire().await.unwrap();
        let second = shared(&other).wait(Duration::ZERO).acquire().await.unwrap();
        let writer = exclusive(&other).wait(Duration::ZERO).acquire().await;
        assert!(matches!(writer, Err(LockError::Busy { .. })), "{writer:?}");
        reader.release().await.unwrap();
        let writer = exclusive(&one).wait(Duration::ZERO).acquire().await;
        assert!(matches!(writer, Err(LockError::Busy { .. })), "{writer:?}");
        second.release().await.unwrap();
        let writer = exclusive(&one).wait(Duration::ZERO).acquire().await.unwrap();
        let reader = shared(&other).wait(Duration::ZERO).acquire().await;
        assert!(matches!(reader, Err(LockError::Busy { .. })), "{reader:?}");
        let late = shared(&other).wait(Duration::from_millis(40)).acquire().await;
        assert!(matches!(late, Err(LockError::Timeout { .. })), "{late:?}");
        writer.release().await.unwrap();
        shared(&other).wait(Duration::ZERO).acquire().await.unwrap().release().await.unwrap();
    }
}

/// Readers come and go so that there is always one: a writer must get in all the same, and so must a reader among writers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_starves() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        for (crowd, single) in [
            (shared as fn(&Keylatch) -> LockBuilder, exclusive as fn(&Keylatch) -> LockBuilder),
            (exclusive, shared),
        ] {
            let stop = Arc::new(AtomicBool::new(false));
            let mut tasks = tokio::task::JoinSet::new();
            for _ in 0..6 {
                let (cache, stop) = (one.clone(), Arc::clone(&stop));
                tasks.spawn(async move {
                    while !stop.load(Ordering::SeqCst) {
                        let stay = || tokio::time::sleep(Duration::from_millis(10));
                        crowd(&cache).run(async |_lease| stay().await).await.unwrap();
                    }
                });
            }
            let mut waits = Vec::new();
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_millis(20)).await;
                let began = Instant::now();
                single(&other).run(async |_lease| ()).await.unwrap();
                waits.push(began.elapsed());
            }
            stop.store(true, Ordering::SeqCst);
            while let Some(ended) = tasks.join_next().await {
                ended.unwrap();
            }
            // Six of them, 10 ms each, one after the other at worst.
            assert!(waits.iter().all(|wait| *wait < Duration::from_secs(1)), "{waits:?}");
        }
    }
}

const LEASE: Duration = Duration::from_secs(1);

/// A reader of another process, which dies.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_reads() {
    let Some(url) = child::argument("child_reads") else { return };
    let cache = Keylatch::builder().redis_url(url).namespace("test").build().unwrap();
    cache
        .lock_shared("report")
        .ttl(LEASE)
        .run(async |_lease| std::future::pending::<()>().await)
        .await
        .unwrap();
}

/// R17: readers that live must not keep the lease of one that died alive.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_reader_holds_a_writer_up_for_its_own_lease() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    for _ in 0..3 {
        let mut child = child::start("kinds::read_write::child_reads", &server.url());
        until("the child reads", || {
            server.command("ZCARD {test#lock:report}#shared").as_deref() == Some(":1")
        })
        .await;
        // Live ones come and go, and renew what is theirs.
        let stop = Arc::new(AtomicBool::new(false));
        let live = {
            let (cache, stop) = (cache.clone(), Arc::clone(&stop));
            tokio::spawn(async move {
                while !stop.load(Ordering::SeqCst) {
                    let stay = || tokio::time::sleep(Duration::from_millis(15));
                    let _refused = cache
                        .lock_shared("report")
                        .ttl(LEASE)
                        .wait(LONG)
                        .run(async |_lease| stay().await)
                        .await;
                }
            })
        };
        tokio::time::sleep(Duration::from_millis(400)).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let began = Instant::now();
        let writer = exclusive(&cache).acquire().await.unwrap();
        let waited = began.elapsed();
        assert!(waited <= LEASE + Duration::from_millis(200), "{waited:?}");
        writer.release().await.unwrap();
        stop.store(true, Ordering::SeqCst);
        live.await.unwrap();
    }
}

/// The mutant: somebody renews the dead reader's entry, as a set with one life for all would. The writer must then wait longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_reader_that_is_renewed_holds_a_writer_up() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let mut child = child::start("kinds::read_write::child_reads", &server.url());
    until("the child reads", || server.command("ZCARD {test#lock:report}#shared").as_deref() == Some(":1"))
        .await;
    child.kill().unwrap();
    child.wait().unwrap();
    let renewing = async {
        for _ in 0..20 {
            let entries = server.query(&["ZRANGE", "{test#lock:report}#shared", "0", "-1"]).unwrap();
            let entries: Vec<String> = redis::from_redis_value(entries).unwrap();
            for entry in entries {
                server.query(&["ZINCRBY", "{test#lock:report}#shared", "100", &entry]).unwrap();
                server.query(&["PEXPIRE", "{test#lock:report}#shared", "1500"]).unwrap();
                server.query(&["PEXPIRE", "test#lock:report", "1500"]).unwrap();
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let began = Instant::now();
    let (writer, ()) = tokio::join!(exclusive(&cache).acquire(), renewing);
    assert!(began.elapsed() > LEASE + Duration::from_millis(200), "{:?}", began.elapsed());
    writer.unwrap().release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_shared_lock_is_extended_and_ends() {
    let server = RedisServer::start();
    let ttl = Duration::from_millis(200);
    for (one, other) in places(&server) {
        let extended = shared(&one).ttl(ttl).acquire().await.unwrap();
        let ends = shared(&other).ttl(ttl).extend_off().acquire().await.unwrap();
        tokio::time::sleep(ttl * 3).await;
        extended.lease().check().expect("it is extended");
        assert!(matches!(ends.lease().check(), Err(LockError::Lost { .. })), "each extends its own alone");
        assert!(exclusive(&other).wait(Duration::ZERO).acquire().await.is_err());
        drop(ends);
        extended.release().await.unwrap();
        exclusive(&other).wait(Duration::ZERO).acquire().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn writers_mint_tokens_and_readers_carry_the_last() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let mut last = None;
        for _ in 0..3 {
            let writer = exclusive(&one).fence().acquire().await.unwrap();
            let minted = writer.lease().token().unwrap();
            assert!(last < Some(minted), "tokens grow");
            writer.release().await.unwrap();
            let (first, second) =
                tokio::try_join!(shared(&one).fence().acquire(), shared(&other).fence().acquire()).unwrap();
            // Tokens are taken in blocks, of which the last one counts.
            let carried = first.lease().token().unwrap();
            assert_eq!(second.lease().token(), Some(carried));
            assert!(carried >= minted, "{carried} after {minted}");
            first.release().await.unwrap();
            second.release().await.unwrap();
            last = Some(carried);
        }
    }
}
