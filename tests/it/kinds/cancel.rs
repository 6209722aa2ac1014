//! Cancelled at every await, no kind leaves anything behind.

use std::time::Duration;

use keylatch::{Keylatch, LockBuilder};

use crate::support::dropped::{dropped_after, nothing_is_left};
use crate::support::{RedisServer, keylatch};

/// `other` keeps `lock` out while it is held.
async fn cancelled_at_every_await(
    lock: impl Fn(&Keylatch) -> LockBuilder,
    other: impl Fn(&Keylatch) -> LockBuilder,
) {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let long = Duration::from_secs(60);
    let body = async |_lease| {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    };
    for late in [false, true] {
        for polls in 0_u32.. {
            assert!(polls < 1_000, "it never ends");
            let free = dropped_after(lock(&cache).ttl(long).acquire(), polls, late).await;
            nothing_is_left(&server, &cache, "a dropped acquisition left its key").await;
            let run = dropped_after(lock(&cache).ttl(long).run(body), polls, late).await;
            nothing_is_left(&server, &cache, "a dropped run left its key").await;
            // The same while somebody else has it, so that the call waits: in vain, or until it is freed.
            let guard = other(&cache).ttl(long).acquire().await.unwrap();
            let waiting = lock(&cache).ttl(long).wait(Duration::from_millis(40)).acquire();
            let waited = dropped_after(waiting, polls, late).await;
            guard.release().await.unwrap();
            nothing_is_left(&server, &cache, "a dropped wait left its key").await;
            let guard = other(&cache).ttl(long).acquire().await.unwrap();
            let freeing = async {
                tokio::time::sleep(Duration::from_millis(4)).await;
                guard.release().await.unwrap();
            };
            let waiting = lock(&cache).ttl(long).wait(long).acquire();
            let (handed, ()) = tokio::join!(dropped_after(waiting, polls, late), freeing);
            nothing_is_left(&server, &cache, "a lock that was handed to a dropped wait was left").await;
            if free && run && waited && handed {
                assert!(polls >= 3, "it has more awaits than that");
                break;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn shared() {
    cancelled_at_every_await(|cache| cache.lock_shared("a"), |cache| cache.lock("a")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn alone_behind_those_who_share() {
    cancelled_at_every_await(|cache| cache.lock("a"), |cache| cache.lock_shared("a")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn semaphore() {
    cancelled_at_every_await(|cache| cache.semaphore("a", 1), |cache| cache.semaphore("a", 1)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several() {
    cancelled_at_every_await(|cache| cache.lock_all(["a", "b", "c"]), |cache| cache.lock("b")).await;
}

/// On the embedded store there are no keys to count: each dropped call must leave the lock free.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_embedded_store() {
    let kinds: [fn(&Keylatch) -> LockBuilder; 4] = [
        |cache| cache.lock("a"),
        |cache| cache.lock_shared("a"),
        |cache| cache.semaphore("a", 1),
        |cache| cache.lock_all(["a", "b"]),
    ];
    let cache = Keylatch::in_memory();
    for (index, lock) in kinds.into_iter().enumerate() {
        let is_semaphore = index == 2;
        let alone = |cache: &Keylatch| if is_semaphore { lock(cache) } else { cache.lock("a") };
        for polls in 0_u32.. {
            assert!(polls < 1_000, "it never ends");
            let free = dropped_after(lock(&cache).acquire(), polls, false).await;
            let guard = alone(&cache).wait(Duration::from_secs(5)).acquire().await.unwrap();
            let waiting = lock(&cache).wait(Duration::from_millis(20)).acquire();
            let waited = dropped_after(waiting, polls, false).await;
            guard.release().await.unwrap();
            alone(&cache).wait(Duration::from_secs(5)).acquire().await.unwrap().release().await.unwrap();
            if free && waited {
                break;
            }
        }
    }
}
