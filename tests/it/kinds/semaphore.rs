//! Semaphores: never more holders than permits, and a free permit goes to whoever waits.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keylatch::{Keylatch, LockBuilder, LockError, ReleaseError};

use super::{LONG, places};
use crate::support::room::Room;
use crate::support::{RedisServer, until};

const PERMITS: u32 = 3;

fn permit(cache: &Keylatch) -> LockBuilder {
    cache.semaphore("seats", PERMITS).ttl(Duration::from_secs(10)).wait(LONG)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn there_are_never_more_holders_than_permits() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let room = Arc::new(Room::default());
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..24 {
            let (cache, room) = (if index % 2 == 0 { one.clone() } else { other.clone() }, Arc::clone(&room));
            tasks.spawn(async move {
                for _ in 0..5 {
                    let stay = || tokio::time::sleep(Duration::from_millis(1));
                    permit(&cache).run(async |_lease| room.visit(stay()).await).await.unwrap();
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("everybody was let in");
        }
        assert_eq!((room.entered(), room.most()), (120, PERMITS));
    }
    until("nothing is left on the server", || server.key_count() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_is_refused_waited_for_and_handed_on() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let mut held = Vec::new();
        for _ in 0..PERMITS {
            held.push(permit(&one).acquire().await.unwrap());
        }
        let busy = permit(&other).wait(Duration::ZERO).acquire().await.unwrap_err();
        assert!(matches!(busy, LockError::Busy { .. }), "{busy}");
        let late = permit(&other).wait(Duration::from_millis(50)).acquire().await.unwrap_err();
        assert!(matches!(late, LockError::Timeout { .. }), "{late}");
        // Each that comes free goes to one of those who wait, at once.
        for _ in 0..5 {
            let waiting = async {
                let guard = permit(&other).acquire().await.unwrap();
                (guard, Instant::now())
            };
            let freeing = async {
                tokio::time::sleep(Duration::from_millis(250)).await;
                let guard = held.remove(0);
                let began = Instant::now();
                guard.release().await.unwrap();
                began
            };
            let ((guard, entered), freed) = tokio::join!(waiting, freeing);
            assert!(entered.saturating_duration_since(freed) < Duration::from_millis(150));
            held.push(guard);
        }
        for guard in held {
            guard.release().await.unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_is_extended_and_ends() {
    let server = RedisServer::start();
    let ttl = Duration::from_millis(200);
    for (one, other) in places(&server) {
        let short = |cache: &Keylatch| cache.semaphore("one", 1).ttl(ttl);
        let guard = short(&one).acquire().await.unwrap();
        tokio::time::sleep(ttl * 3).await;
        guard.lease().check().expect("it is extended");
        assert!(short(&other).wait(Duration::ZERO).acquire().await.is_err());
        guard.release().await.unwrap();
        // Not extended, it ends by itself, and its holder knows.
        let ends = short(&one).extend_off().acquire().await.unwrap();
        let began = Instant::now();
        let next = short(&other).wait(LONG).acquire().await.unwrap();
        assert!(ends.lease().check().is_err() && began.elapsed() >= ttl / 2, "{:?}", began.elapsed());
        assert!(began.elapsed() < ttl + Duration::from_millis(200), "{:?}", began.elapsed());
        // It may have been given back in the last milliseconds, when its holder knew and nobody else could have it yet.
        let released = ends.release().await;
        assert!(matches!(released, Ok(()) | Err(ReleaseError::NotHeld { .. })), "{released:?}");
        next.lease().check().expect("a late release frees nobody else's permit");
        next.release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_permit_stops_its_body() {
    let server = RedisServer::start();
    let cache = crate::support::keylatch(&server);
    let room = Room::default();
    let taking = async {
        until("somebody is inside", || room.inside() == 1).await;
        server.command("DEL test#permits:taken").unwrap();
    };
    let body = async |_lease| room.visit(std::future::pending()).await;
    let lock = cache.semaphore("taken", 2).ttl(Duration::from_millis(300));
    let (lost, ()) = tokio::join!(lock.run(body), taking);
    assert!(matches!(lost, Err(LockError::Lost { .. })), "{lost:?}");
    assert_eq!(room.inside(), 0);
}
