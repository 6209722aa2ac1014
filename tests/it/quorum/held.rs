//! The locks of an instance are on its lock masters, by every way to a lock.

use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keylatch::{Key, Keylatch, LockError, with_lock};

use super::{History, Masters, lock, lock_of_any_kind};
use crate::support::{RedisServer, child, until};

const TTL: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn locks_are_on_all_masters_and_entries_where_they_were() {
    let store = RedisServer::start();
    let masters = Masters::start(3);
    let cache = masters.builder().redis_url(store.url()).build().unwrap();
    let guard = lock(&cache, "stock", TTL).acquire().await.unwrap();
    until("it is not held on all", || masters.holding("stock") == 3).await;
    let refused = lock(&cache, "stock", TTL).wait(Duration::ZERO).acquire().await;
    assert!(matches!(refused, Err(LockError::Busy { .. })), "{refused:?}");
    guard.release().await.unwrap();
    until("it is still held", || masters.holding("stock") == 0).await;
    let squared = cache.entry("square").ttl(TTL).get_or_load(async || 144).await;
    assert_eq!((squared, store.command("EXISTS test:square")), (144, Some(":1".to_owned())));
    assert_eq!(store.command("EXISTS test#lock:stock"), Some(":0".to_owned()));
}

/// To each master in a pipeline or two, each time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_locks_are_extended_in_few_requests() {
    const LOCKS: u64 = 300;
    let masters = Masters::start(3);
    let cache = masters.keylatch();
    let ttl = Duration::from_secs(2);
    let had = join_all((0..LOCKS).map(|index| cache.lock(Key::of("held").part(&index)).ttl(ttl).acquire()));
    let guards: Vec<_> = had.await.into_iter().map(Result::unwrap).collect();
    until("they are not held on all", || masters.servers.iter().all(|server| server.key_count() >= 300))
        .await;
    let reads = |server: &RedisServer| {
        let reads = server.info("total_reads_processed").expect("the server answers");
        (reads.parse::<u64>().expect("a number"), server.calls("evalsha"))
    };
    let before: Vec<_> = masters.servers.iter().map(reads).collect();
    tokio::time::sleep(2 * ttl).await;
    for guard in &guards {
        guard.lease().check().expect("it was extended");
    }
    // By the master that was disturbed least: how much a read finds of what has been sent depends on the machine.
    let mut fewest = u64::MAX;
    for (server, (read, extended)) in masters.servers.iter().zip(&before) {
        let (reads, evals) = reads(server);
        let (read, extended) = (reads - read, evals - extended);
        eprintln!("{read} reads for {extended} extensions");
        assert!(extended >= 4 * LOCKS, "{extended} were extended");
        fewest = fewest.min(1_000 * read / extended);
    }
    // A read takes a hundred of them at most. The rest is what connections say of themselves.
    assert!(fewest < 1_000 / 12, "{fewest} reads for a thousand extensions");
    for ended in join_all(guards.into_iter().map(keylatch::LockGuard::release)).await {
        ended.unwrap();
    }
}

struct Shop(Keylatch);

impl Shop {
    #[with_lock(key = "shop:{name}", ttl = "5s", wait = "0s", using = self.0)]
    async fn sell(&self, name: &str, masters: &Masters) -> Result<usize, LockError> {
        until("it is not held on all", || masters.holding("shop:apple") == 3).await;
        Ok(masters.holding(&format!("shop:{name}")))
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_attribute_locks_on_the_masters() {
    let masters = Masters::start(3);
    let shop = Shop(masters.keylatch());
    assert_eq!(shop.sell("apple", &masters).await.unwrap(), 3);
    until("it is still held", || masters.holding("shop:apple") == 0).await;
}

#[tokio::test]
async fn child_takes_a_lock_by_the_environment() {
    let Some(_) = child::argument("child_takes_a_lock_by_the_environment") else { return };
    let cache = Keylatch::from_env().expect("good variables");
    std::mem::forget(cache.lock("by-environment").ttl(TTL).acquire().await.expect("a quorum"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_variable_is_all_that_is_needed() {
    let masters = Masters::start(3);
    let urls: Vec<String> = masters.servers.iter().map(RedisServer::url).collect();
    let path = "quorum::held::child_takes_a_lock_by_the_environment";
    let environment = [("REDIS_LOCK_URLS", &*urls.join(",")), ("REDIS_KEY_PREFIX", "test")];
    let mut child = child::start_with(path, "", &environment);
    assert!(child.wait().unwrap().success());
    assert!(masters.holding("by-environment") >= 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_exclude_each_other_and_tokens_grow() {
    let masters = Masters::start(3);
    let history = History::default();
    let mut tasks = Vec::new();
    for _ in 0..6 {
        let (cache, history) = (masters.keylatch(), history.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..25 {
                let had = lock_of_any_kind(&cache, "counter", TTL).wait(Duration::from_secs(60));
                had.run(async |lease| history.visit(lease, Duration::from_millis(1)).await).await.unwrap();
            }
        }));
    }
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!((history.visits().len(), history.overlaps(), history.regressions()), (150, 0, 0));
    until("something is left", || masters.holding("counter") == 0).await;
}

/// Whether the history would show it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_holders_would_be_seen() {
    let masters = Masters::start(3);
    let history = History::default();
    let hold = async || {
        let cache = masters.keylatch();
        let had = lock(&cache, "counter", TTL);
        had.run(async |lease| history.visit(lease, Duration::from_millis(600)).await).await.unwrap();
    };
    let vandal = async {
        until("nobody is inside", || history.visits().len() == 1).await;
        for server in &masters.servers {
            server.command("DEL test#lock:counter");
        }
    };
    tokio::join!(hold(), hold(), vandal);
    assert_eq!(history.overlaps(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_acquisition_that_is_dropped_leaves_nothing() {
    let masters = Masters::start(3);
    let cache = masters.keylatch();
    lock(&cache, "warm", TTL).acquire().await.unwrap().release().await.unwrap();
    for micros in (0..2_000).step_by(40) {
        let asked = lock(&cache, "dropped", TTL).wait(Duration::ZERO).acquire();
        drop(tokio::time::timeout(Duration::from_micros(micros), asked).await);
    }
    until("something is left", || masters.holding("dropped") == 0).await;
}

/// Masters prolong a lock by what it was asked for. Whoever has it from hand to hand and wants it for longer asks anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn handed_on_for_longer_it_is_held_for_longer() {
    let masters = Masters::start(3);
    let (cache, others) = (masters.keylatch(), masters.keylatch());
    let (short, long) = (Duration::from_millis(600), Duration::from_secs(20));
    let first = lock(&cache, "mixed", short).acquire().await.unwrap();
    let next = tokio::spawn(lock(&cache, "mixed", long).wait(TTL).acquire());
    tokio::time::sleep(Duration::from_millis(50)).await;
    first.release().await.unwrap();
    let second = next.await.unwrap().unwrap();
    let ends = Instant::now() + 4 * short;
    while Instant::now() < ends {
        let stolen = lock(&others, "mixed", short).wait(Duration::ZERO).acquire().await;
        second.lease().check().expect("it is extended");
        assert!(stolen.is_err(), "two have it");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    second.release().await.unwrap();
}
