//! Several locks at once: all or none, no circle of waiting, lost together.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Key, Keylatch, LockError, with_lock};

use super::{LONG, places};
use crate::support::{RedisServer, keylatch, until};

const TTL: Duration = Duration::from_secs(10);
const KEYS: usize = 10;
const TASKS: u32 = 8;

/// Three different keys of ten, in any order.
fn three() -> [usize; 3] {
    let mut all: [usize; KEYS] = std::array::from_fn(|index| index);
    fastrand::shuffle(&mut all);
    [all[0], all[1], all[2]]
}

fn key(index: usize) -> Key {
    Key::of("account").part(&index)
}

/// R18: whoever has a key is the only one who has it, and nobody waits for ever.
async fn lock_three_of_ten(one: &Keylatch, other: &Keylatch, rounds: u32) {
    let inside: Arc<[AtomicU32; KEYS]> = Arc::default();
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..TASKS {
        let cache = if task % 2 == 0 { one.clone() } else { other.clone() };
        let inside = Arc::clone(&inside);
        tasks.spawn(async move {
            for _ in 0..rounds / TASKS {
                let keys = three();
                let lock = cache.lock_all(keys.map(key)).ttl(TTL).wait(LONG);
                let body = async |_lease| {
                    for key in keys {
                        assert_eq!(inside[key].fetch_add(1, Ordering::SeqCst), 0, "two have key {key}");
                    }
                    tokio::task::yield_now().await;
                    for key in keys {
                        inside[key].fetch_sub(1, Ordering::SeqCst);
                    }
                };
                lock.run(body).await.expect("nobody waits for ever");
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_circle_of_waiting_on_redis() {
    let server = RedisServer::start();
    lock_three_of_ten(&keylatch(&server), &keylatch(&server), 10_000).await;
    until("nothing is left on the server", || server.key_count() == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_circle_of_waiting_on_the_embedded_store() {
    let cache = Keylatch::in_memory();
    lock_three_of_ten(&cache, &cache, 10_000).await;
}

/// The mutant: one after the other in the order in which they were named. Then some wait for each other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_an_order_some_wait_for_each_other() {
    let cache = Keylatch::in_memory();
    let wait = Duration::from_millis(300);
    let timeouts = Arc::new(AtomicU32::new(0));
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..TASKS {
        let (cache, timeouts) = (cache.clone(), Arc::clone(&timeouts));
        tasks.spawn(async move {
            for _ in 0..200 {
                let mut held = Vec::new();
                for index in three() {
                    match cache.lock(key(index)).ttl(TTL).wait(wait).acquire().await {
                        Ok(guard) => held.push(guard),
                        Err(error) => {
                            assert!(matches!(error, LockError::Timeout { .. }), "{error}");
                            timeouts.fetch_add(1, Ordering::SeqCst);
                            return;
                        }
                    }
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert!(timeouts.load(Ordering::SeqCst) > 0, "the test would not have noticed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_or_none() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let all = || one.lock_all(["a", "b", "c", "a"]).ttl(TTL);
        let held = other.lock("b").ttl(TTL).acquire().await.unwrap();
        let busy = all().wait(Duration::ZERO).acquire().await.unwrap_err();
        assert!(matches!(&busy, LockError::Busy { key } if key.to_string().ends_with("#lock:b")), "{busy}");
        let late = all().wait(Duration::from_millis(60)).acquire().await.unwrap_err();
        assert!(matches!(late, LockError::Timeout { .. }), "{late}");
        // What was had of them while it waited is given back.
        for free in ["a", "c"] {
            let guard = other.lock(free).ttl(TTL).wait(Duration::from_secs(1)).acquire().await.unwrap();
            guard.release().await.unwrap();
        }
        let (waited, ()) = tokio::join!(all().wait(LONG).acquire(), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            held.release().await.unwrap();
        });
        let guard = waited.unwrap();
        assert_eq!(guard.lease().parts().count(), 3, "a key that is named twice is locked once");
        for taken in ["a", "b", "c"] {
            assert!(other.lock(taken).wait(Duration::ZERO).acquire().await.is_err());
        }
        guard.release().await.unwrap();
        for free in ["a", "b", "c"] {
            other.lock(free).wait(Duration::ZERO).acquire().await.unwrap().release().await.unwrap();
        }
    }
}

/// One request where nobody is in the way, whatever their number.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_ones_are_taken_in_one_request() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let take = || cache.lock_all((0..5_u64).map(|id| Key::of("k").part(&id))).ttl(TTL).acquire();
    take().await.unwrap().release().await.unwrap();
    let before = server.calls("evalsha");
    let guard = take().await.unwrap();
    assert_eq!(server.calls("evalsha") - before, 1);
    guard.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lost_when_one_is_lost() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let ttl = Duration::from_millis(300);
    let steps = AtomicU32::new(0);
    let body = async |_lease| {
        loop {
            steps.fetch_add(1, Ordering::SeqCst);
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let taking = async {
        tokio::time::sleep(ttl * 3).await;
        assert!(steps.load(Ordering::SeqCst) > 50, "all of them are extended");
        server.command("DEL test#lock:b").unwrap();
        Instant::now()
    };
    let (lost, taken) = tokio::join!(cache.lock_all(["a", "b", "c"]).ttl(ttl).run(body), taking);
    let lost: Result<(), LockError> = lost;
    assert!(matches!(lost, Err(LockError::Lost { .. })), "{lost:?}");
    assert!(taken.elapsed() < ttl, "{:?}", taken.elapsed());
    until("the others are given back", || server.key_count() == 0).await;
}

/// Those that are had while one is waited for live on, also for longer than their life.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_had_lives_on_while_the_rest_is_waited_for() {
    let server = RedisServer::start();
    let ttl = Duration::from_millis(300);
    for (one, other) in places(&server) {
        let names = ["a", "b", "c", "d", "e", "f"];
        // All but one are free, whichever comes last in the order.
        for held in names {
            let guard = other.lock(held).ttl(TTL).acquire().await.unwrap();
            let waiting = one.lock_all(names).ttl(ttl).wait(LONG).acquire();
            let freeing = async {
                tokio::time::sleep(ttl * 3).await;
                guard.release().await.unwrap();
            };
            let (all, ()) = tokio::join!(waiting, freeing);
            let all = all.unwrap();
            all.lease().check().unwrap();
            all.release().await.unwrap();
        }
    }
}

struct Bank {
    cache: Keylatch,
    moves: AtomicU32,
}

impl Bank {
    #[with_lock(keys = ["account:{from}", "account:{to}"], ttl = "10s", wait = "30s", lease = lease, using = self.cache)]
    async fn transfer(&self, from: u64, to: u64) -> Result<usize, LockError> {
        self.moves.fetch_add(1, Ordering::SeqCst);
        tokio::task::yield_now().await;
        lease.check()?;
        Ok(lease.parts().count())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_attribute() {
    let server = RedisServer::start();
    for (cache, _) in places(&server) {
        let bank = Bank { cache, moves: AtomicU32::new(0) };
        let there = futures_util::future::join_all((0..50).map(|_| bank.transfer(1, 2)));
        let return_trips = futures_util::future::join_all((0..50).map(|_| bank.transfer(2, 1)));
        let (there, return_trips) = tokio::join!(there, return_trips);
        assert!(there.into_iter().chain(return_trips).all(|moved| moved.unwrap() == 2));
        assert_eq!(bank.moves.load(Ordering::SeqCst), 100);
        assert_eq!(bank.transfer(3, 3).await.unwrap(), 1, "to oneself");
    }
}
