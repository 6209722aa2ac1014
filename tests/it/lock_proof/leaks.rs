//! R15: nothing is left of locks that were released, cancelled and dropped: no key, no subscription, no task, no memory.

use std::time::{Duration, Instant};

use keylatch::{Key, Keylatch, LockBuilder};
use tokio::runtime::Handle;

use crate::support::{RedisServer, keylatch, length, until};

/// What may grow.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Traces {
    keys: usize,
    channels: usize,
    clients: String,
    tasks: usize,
}

impl Traces {
    fn of(server: &RedisServer) -> Self {
        let channels: Vec<String> =
            redis::from_redis_value(server.query(&["PUBSUB", "CHANNELS"]).unwrap()).unwrap();
        Self {
            keys: server.key_count(),
            channels: channels.len(),
            clients: server.info("connected_clients").unwrap(),
            tasks: Handle::current().metrics().num_alive_tasks(),
        }
    }
}

/// Of this process, in KiB.
fn memory() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

fn lock(cache: &Keylatch, index: u32) -> LockBuilder {
    // Many locks, some of them met by several at once.
    let lock = cache.lock(Key::of("leak").part(&(index % 64))).ttl(Duration::from_secs(30));
    lock.wait(Duration::from_secs(20)).fence()
}

/// Of eleven: nine are released, one is cancelled at some moment, and now and then a guard is dropped.
async fn round(cache: &Keylatch, count: u32) {
    let mut tasks = tokio::task::JoinSet::new();
    for task in 0..16_u32 {
        let cache = cache.clone();
        tasks.spawn(async move {
            for index in (task..count).step_by(16) {
                match index % 110 {
                    0 => drop(lock(&cache, index).acquire().await.unwrap()),
                    kind if kind % 10 == 1 => {
                        let moment = Duration::from_micros(fastrand::u64(0..400));
                        let _cancelled = tokio::time::timeout(moment, lock(&cache, index).acquire()).await;
                    }
                    kind if kind % 2 == 0 => {
                        lock(&cache, index).acquire().await.unwrap().release().await.unwrap();
                    }
                    _ => lock(&cache, index).run(async |_lease| ()).await.unwrap(),
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("everybody was served");
    }
}

async fn settles_to(server: &RedisServer, before: &Traces) {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let now = Traces::of(server);
        let settled = now.keys <= before.keys
            && now.channels <= before.channels
            && now.tasks <= before.tasks
            && now.clients == before.clients;
        if settled {
            return;
        }
        assert!(Instant::now() < deadline, "something is left: {now:?}, at first {before:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_left_of_many_locks() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let count = if length::long().is_some() { 1_110_000 } else { 6_000 };
    // Connections, buffers and tables are as large as they get; also the connection of those who wait for others, which not every
    // round needs.
    server.query(&["SET", "test#lock:others", "somebody", "PX", "200"]).expect("the server answers");
    cache.lock("others").wait(Duration::from_secs(20)).run(async |_lease| ()).await.expect("they are gone");
    until("it does not listen", || Traces::of(&server).channels > 0).await;
    round(&cache, count.min(20_000)).await;
    // Counters and locks of dropped guards: all that was sent is done when a later one is.
    until("locks are left", || locks(&server) == 0).await;
    let (before, memory_before) = (Traces::of(&server), memory());
    round(&cache, count).await;
    settles_to(&server, &before).await;
    let grown = memory().saturating_sub(memory_before);
    eprintln!("{count} acquisitions: {before:?}, {grown} KiB more");
    // Allocators keep what they have had; a leak of 100 bytes each would be 100 MiB in the long run.
    assert!(grown < 20 << 10, "{grown} KiB");
}

/// How many locks are held, or waited for.
fn locks(server: &RedisServer) -> usize {
    let keys: Vec<String> = redis::from_redis_value(server.query(&["KEYS", "*#lock:*"]).unwrap()).unwrap();
    keys.len()
}

/// The companion: a guard that is forgotten is seen.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_forgotten_guard_is_seen() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    round(&cache, 500).await;
    until("locks are left", || locks(&server) == 0).await;
    let before = Traces::of(&server);
    std::mem::forget(lock(&cache, 1).acquire().await.unwrap());
    let now = Traces::of(&server);
    assert!(now.keys > before.keys, "{now:?}, at first {before:?}");
}
