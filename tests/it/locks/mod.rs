//! Promise 3: a lock that cannot be proven is not held. Processes exclude each other, killed and stopped holders are
//! followed in time, and a cancelled one leaves nothing behind.

mod failures;
mod fencing;
mod renewal;
mod standstill;
mod waiting;

use std::fs;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Key, Keylatch, LockBuilder, LockError, with_lock};

use crate::support::dropped::{dropped_after, nothing_is_left};
use crate::support::room::Room;
use crate::support::{RedisServer, child, keylatch, signal, until};

fn lock(cache: &Keylatch, ttl: Duration) -> LockBuilder {
    cache.lock("shared").ttl(ttl)
}

fn in_child(url: &str) -> Keylatch {
    Keylatch::builder().redis_url(url).namespace("test").build().expect("good settings")
}

const PROCESSES: u32 = 8;
const INCREMENTS: u32 = 2_000;

/// Read, add one, write: exact only if nobody else does so in between.
fn increment(file: &Path) {
    let value: u32 = fs::read_to_string(file).unwrap().parse().unwrap();
    fs::write(file, (value + 1).to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_increments() {
    let Some(argument) = child::argument("child_increments") else { return };
    let (url, file) = argument.split_once(' ').unwrap();
    let cache = in_child(url);
    for _ in 0..INCREMENTS / PROCESSES {
        let counted =
            lock(&cache, Duration::from_secs(10)).wait(Duration::from_secs(60)).run(async |_lease| {
                increment(Path::new(file));
            });
        counted.await.unwrap();
    }
}

#[tokio::test]
async fn processes_exclude_each_other() {
    let server = RedisServer::start();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "0").unwrap();
    let argument = format!("{} {}", server.url(), file.path().display());
    let mut children: Vec<_> =
        (0..PROCESSES).map(|_| child::start("locks::child_increments", &argument)).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    assert_eq!(fs::read_to_string(file.path()).unwrap(), INCREMENTS.to_string());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tasks_exclude_each_other() {
    let server = RedisServer::start();
    let embedded = Keylatch::in_memory();
    for instances in [[embedded.clone(), embedded], [keylatch(&server), keylatch(&server)]] {
        let room = Arc::new(Room::default());
        let mut tasks = tokio::task::JoinSet::new();
        for index in 0..50 {
            let (cache, room) = (instances[index % 2].clone(), Arc::clone(&room));
            tasks.spawn(async move {
                for _ in 0..4 {
                    let lock = lock(&cache, Duration::from_secs(10)).wait(Duration::from_secs(60));
                    lock.run(async |_lease| room.visit(tokio::task::yield_now()).await).await.unwrap();
                }
            });
        }
        while let Some(ended) = tasks.join_next().await {
            ended.expect("everybody was let in");
        }
        assert_eq!((room.entered(), room.most()), (200, 1));
    }
}

/// The mutant: somebody deletes the key of a held lock. The check must then see two inside, or it would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_holders_are_seen() {
    let server = RedisServer::start();
    let room = Room::default();
    // The first stays until the second is in.
    let both = async || until("the second was kept out", || room.most() == 2).await;
    let hold = async |cache: Keylatch| {
        lock(&cache, Duration::from_secs(5)).run(async |_lease| room.visit(both()).await).await
    };
    let second = async {
        until("nobody is inside", || room.inside() == 1).await;
        server.command("DEL test#lock:shared").expect("the server answers");
        hold(keylatch(&server)).await
    };
    let (_first, _second) = tokio::join!(hold(keylatch(&server)), second);
    assert_eq!(room.most(), 2);
}

const TTL: Duration = Duration::from_millis(600);

/// Holds the lock, and writes a dot after each await, until it is told that the lock is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_holds() {
    let Some(argument) = child::argument("child_holds") else { return };
    let (url, file) = argument.split_once(' ').unwrap();
    let cache = in_child(url);
    let mut file = fs::OpenOptions::new().append(true).open(file).unwrap();
    let held = lock(&cache, TTL).run(async |_lease| {
        loop {
            file.write_all(b".").unwrap();
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let lost: Result<(), LockError> = held.await;
    assert!(matches!(&lost, Err(error @ LockError::Lost { .. }) if error.body_ran()), "{lost:?}");
    file.write_all(b"lost").unwrap();
}

async fn holding_child(server: &RedisServer, file: &Path) -> std::process::Child {
    fs::write(file, "").unwrap();
    let child = child::start("locks::child_holds", &format!("{} {}", server.url(), file.display()));
    until("the child does not hold the lock", || fs::read_to_string(file).is_ok_and(|text| !text.is_empty()))
        .await;
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_holder_is_followed_within_its_ttl() {
    let server = RedisServer::start();
    let (cache, file) = (keylatch(&server), tempfile::NamedTempFile::new().unwrap());
    cache.lock("warm").run(async |_lease| ()).await.unwrap();
    // At several moments between two extensions, and with the next one waiting before the kill, or coming after it.
    for moment in 0..6 {
        let mut child = holding_child(&server, file.path()).await;
        let next = lock(&cache, TTL).wait(Duration::from_secs(5)).acquire();
        let killed = async {
            tokio::time::sleep(TTL * moment / 12).await;
            child.kill().unwrap();
            child.wait().unwrap();
            Instant::now()
        };
        let (guard, killed) = if moment % 2 == 0 {
            tokio::join!(next, killed)
        } else {
            let killed = killed.await;
            (next.await, killed)
        };
        let waited = killed.elapsed();
        assert!(waited <= TTL + Duration::from_millis(100), "at moment {moment}: {waited:?}");
        guard.unwrap().release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_holder_is_told_and_does_not_go_on() {
    let server = RedisServer::start();
    let (cache, file) = (keylatch(&server), tempfile::NamedTempFile::new().unwrap());
    let mut child = holding_child(&server, file.path()).await;
    signal(child.id(), "STOP");
    let guard = lock(&cache, Duration::from_secs(5)).wait(Duration::from_secs(5)).acquire().await.unwrap();
    let before = fs::read_to_string(file.path()).unwrap();
    signal(child.id(), "CONT");
    assert!(child.wait().unwrap().success(), "the child's own check failed");
    let after = fs::read_to_string(file.path()).unwrap();
    let went_on = after[before.len()..].strip_suffix("lost").expect("the child was told");
    // It may have been stopped in the middle of a poll, which then goes on to its next await: one dot at most.
    assert!(went_on.len() <= 1, "it went on past {} awaits", went_on.len());
    guard.lease().check().expect("the new holder is not disturbed by the old one");
    guard.release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cancelled_at_every_await_nothing_is_left() {
    let server = RedisServer::start();
    for late in [false, true] {
        // On a connection that is there, and while one is being made.
        cancelled_at_every_await(&server, late, Some(&keylatch(&server))).await;
        cancelled_at_every_await(&server, late, None).await;
    }
}

async fn cancelled_at_every_await(server: &RedisServer, late: bool, warm: Option<&Keylatch>) {
    let body = async |_lease| {
        for _ in 0..3 {
            tokio::task::yield_now().await;
        }
    };
    for polls in 0_u32.. {
        assert!(polls < 1_000, "it never ends");
        let cache = || warm.cloned().unwrap_or_else(|| keylatch(server));
        let (one, two, three) = (cache(), cache(), cache());
        let free = dropped_after(lock(&one, Duration::from_secs(60)).acquire(), polls, late).await;
        nothing_is_left(server, &one, "a dropped acquisition left its key").await;
        let run = dropped_after(lock(&two, Duration::from_secs(60)).run(body), polls, late).await;
        nothing_is_left(server, &two, "a dropped run left its key").await;
        // The same while somebody else holds it, so that the call waits.
        let guard = lock(&three, Duration::from_secs(60)).acquire().await.unwrap();
        let waiting = lock(&three, Duration::from_secs(60)).wait(Duration::from_millis(40)).acquire();
        let waited = dropped_after(waiting, polls, late).await;
        guard.release().await.unwrap();
        nothing_is_left(server, &three, "a dropped wait left its key").await;
        // And while another process does.
        let four = cache();
        let guard = lock(&four, Duration::from_secs(60)).acquire().await.unwrap();
        let queued = lock(&one, Duration::from_secs(60)).wait(Duration::from_millis(40)).acquire();
        let queued = dropped_after(queued, polls, late).await;
        guard.release().await.unwrap();
        nothing_is_left(server, &one, "a dropped place in the queue was left").await;
        if free && run && waited && queued {
            assert!(polls >= 3, "it has more awaits than that");
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_say_what_happened() {
    let server = RedisServer::start();
    for cache in [keylatch(&server), Keylatch::in_memory()] {
        let guard = lock(&cache, Duration::from_secs(5)).acquire().await.unwrap();
        let busy = lock(&cache, TTL).wait(Duration::ZERO).acquire().await.unwrap_err();
        assert!(matches!(busy, LockError::Busy { .. }) && !busy.body_ran(), "{busy}");
        let began = Instant::now();
        let timeout = lock(&cache, TTL).wait(Duration::from_millis(150)).acquire().await.unwrap_err();
        assert!(matches!(timeout, LockError::Timeout { .. }), "{timeout}");
        assert!((150..400).contains(&began.elapsed().as_millis()), "{:?}", began.elapsed());
        // Freed by a drop, without blocking, and outside of the runtime, too; who waits is woken.
        let waiting = lock(&cache, TTL).wait(Duration::from_secs(5)).acquire();
        let (next, ()) = tokio::join!(waiting, async { drop(guard) });
        let guard = next.unwrap();
        std::thread::spawn(move || drop(guard)).join().expect("a drop does not panic");
        let waiting = lock(&cache, TTL).wait(Duration::from_secs(5)).acquire();
        waiting.await.unwrap().release().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_extended_and_limited() {
    let server = RedisServer::start();
    let ttl = Duration::from_millis(150);
    for cache in [keylatch(&server), Keylatch::in_memory()] {
        // Extended beyond its ttl while the body runs.
        let long = lock(&cache, ttl).run(async |lease| {
            tokio::time::sleep(ttl * 4).await;
            lease.check()
        });
        long.await.unwrap().unwrap();
        // Not extended: nothing of the body runs any more when the ttl is over. That the caller is told may take longer on a
        // busy machine.
        let began = Instant::now();
        let mut ran_last = Duration::ZERO;
        let body = async |_lease| loop {
            ran_last = began.elapsed();
            tokio::time::sleep(Duration::from_millis(1)).await;
        };
        let lost: Result<(), LockError> = lock(&cache, ttl).extend_off().run(body).await;
        assert!(matches!(lost, Err(LockError::Lost { .. })));
        assert!(ran_last >= ttl / 2 && ran_last < ttl, "{ran_last:?}");
        assert!(began.elapsed() < ttl * 2, "{:?}", began.elapsed());
        // Not beyond its limit.
        let limit = ttl * 3;
        let began = Instant::now();
        let limited =
            lock(&cache, ttl).max_hold(limit).run(async |_lease| tokio::time::sleep(ttl * 20).await).await;
        assert!(matches!(limited, Err(LockError::Lost { .. })));
        assert!(began.elapsed() >= limit && began.elapsed() < limit + ttl * 2, "{:?}", began.elapsed());
        // A body may go on, and is told.
        let told = lock(&cache, ttl).extend_off().on_lost_continue().run(async |lease| {
            lease.lost().await;
            lease.check()
        });
        assert!(matches!(told.await.unwrap(), Err(LockError::Lost { .. })));
    }
}

#[derive(Debug, thiserror::Error)]
enum StockError {
    #[error("sold out")]
    SoldOut,
    #[error(transparent)]
    Lock(#[from] LockError),
}

struct Stock {
    cache: Keylatch,
    left: AtomicU32,
}

impl Stock {
    #[with_lock(key = "stock:{sku}", ttl = "5s", wait = "20s", lease = held, using = self.cache)]
    async fn take(&self, sku: &str, quantity: u32) -> Result<u32, StockError> {
        let left = self.left.load(Ordering::SeqCst);
        tokio::task::yield_now().await;
        held.check()?;
        assert!(held.key().to_string().ends_with("#lock:stock:a%2Fb"), "{}", held.key());
        let left = left.checked_sub(quantity).ok_or(StockError::SoldOut)?;
        self.left.store(left, Ordering::SeqCst);
        Ok(left)
    }

    #[with_lock(key = "stock:{sku}", ttl = "5s", wait = "0s", using = self.cache)]
    async fn try_take(&self, sku: &str) -> Result<(), StockError> {
        tokio::task::yield_now().await;
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn by_attribute() {
    let server = RedisServer::start();
    for cache in [keylatch(&server), Keylatch::in_memory()] {
        let stock = Stock { cache: cache.clone(), left: AtomicU32::new(40) };
        let takes = futures_util::future::join_all((0..50).map(|_| stock.take("a/b", 1))).await;
        let sold_out = takes.iter().filter(|take| matches!(take, Err(StockError::SoldOut))).count();
        assert_eq!((stock.left.load(Ordering::SeqCst), sold_out), (0, 10));
        let guard = cache.lock(Key::of("stock").part("x")).acquire().await.unwrap();
        assert!(matches!(stock.try_take("x").await, Err(StockError::Lock(LockError::Busy { .. }))));
        guard.release().await.unwrap();
        stock.try_take("x").await.unwrap();
    }
}
