//! R2: processes that are stopped while they hold the lock, for up to twice its life, and write when they go on. With tokens
//! checked at the resource no acknowledged update is lost; without, some are.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use keylatch::Keylatch;
use keylatch::fencing::{FenceError, FencedKey, FencingToken};
use redis::AsyncCommands;
use redis::aio::MultiplexedConnection;

use crate::support::{RedisServer, child, length, signal};

const TTL: Duration = Duration::from_millis(500);
const PROCESSES: u32 = 4;
const TASKS: u32 = 4;
const RESOURCE: &str = "counter";

/// How an update ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Update {
    Acknowledged,
    /// The answer was lost: it may have been done.
    Unknown,
}

/// Read, add one, write, with a stop likely in between: a body that blocks its thread is not stopped by the loss of its lock.
async fn update(
    resource: &mut MultiplexedConnection,
    token: FencingToken,
    checked: bool,
) -> Result<Update, FenceError> {
    let fenced = FencedKey::new(RESOURCE);
    let value: u64 = if checked {
        fenced.read(resource, token).await?.unwrap_or(0)
    } else {
        let value: Option<u64> = resource.get(RESOURCE).await.unwrap_or_default();
        value.unwrap_or(0)
    };
    std::thread::sleep(Duration::from_millis(3));
    if checked {
        fenced.write(resource, token, value + 1).await?;
        return Ok(Update::Acknowledged);
    }
    let written: Result<(), _> = resource.set(RESOURCE, value + 1).await;
    Ok(if written.is_ok() { Update::Acknowledged } else { Update::Unknown })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_updates() {
    let Some(argument) = child::argument("child_updates") else { return };
    let words: Vec<&str> = argument.split(' ').collect();
    let [locks, resource, file, seconds, checked] = words[..] else { panic!("{argument}") };
    let until = Instant::now() + Duration::from_secs_f64(seconds.parse().unwrap());
    let cache = Keylatch::builder().redis_url(locks).namespace("test").build().expect("good settings");
    let client = redis::Client::open(resource).expect("a good URL");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(Some(Duration::from_secs(20)));
    let resource = client.get_multiplexed_async_connection_with_config(&config).await.unwrap();
    let tasks = (0..TASKS).map(|_| {
        let (cache, mut resource) = (&cache, resource.clone());
        async move {
            let (mut acknowledged, mut refused, mut unknown) = (0, 0, 0);
            while Instant::now() < until {
                let lock = cache.lock("counter").ttl(TTL).wait(TTL * 4).fence().on_lost_continue();
                let updated = lock.run(async |lease| {
                    update(&mut resource, lease.token().unwrap(), checked == "checked").await
                });
                match updated.await {
                    Ok(Ok(Update::Acknowledged)) => acknowledged += 1,
                    Ok(Err(error)) if error.is_stale() => refused += 1,
                    Ok(_) => unknown += 1,
                    // Not had: nothing was done.
                    Err(_) => {}
                }
            }
            (acknowledged, refused, unknown)
        }
    });
    let all = futures_util::future::join_all(tasks).await;
    let sum = all.into_iter().fold((0, 0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1, sum.2 + one.2));
    fs::write(file, format!("{} {} {}", sum.0, sum.1, sum.2)).unwrap();
}

#[derive(Debug)]
struct Counted {
    value: u64,
    acknowledged: u64,
    refused: u64,
    unknown: u64,
    stops: u32,
}

/// Lets processes update while they are stopped at random.
fn run(checked: &str, length: Duration) -> Counted {
    let (locks, resource) = (RedisServer::start(), RedisServer::start());
    let directory = tempfile::tempdir().unwrap();
    let file = |index: u32| directory.path().join(index.to_string());
    let start = |index: u32| {
        let (seconds, file) = (length.as_secs_f64(), file(index));
        let argument = format!("{} {} {} {seconds} {checked}", locks.url(), resource.url(), file.display());
        child::start("lock_proof::paused::child_updates", &argument)
    };
    let mut children: Vec<_> = (0..PROCESSES).map(start).collect();
    let seed = fastrand::u64(..);
    eprintln!("seed {seed}");
    let mut rng = fastrand::Rng::with_seed(seed);
    let (began, mut stops) = (Instant::now(), 0);
    // The children end by themselves; a stopped one would not.
    while began.elapsed() + TTL * 3 < length {
        let child = &children[rng.usize(0..children.len())];
        std::thread::sleep(Duration::from_millis(rng.u64(20..150)));
        signal(child.id(), "STOP");
        std::thread::sleep((TTL * 2).mul_f64(rng.f64()));
        signal(child.id(), "CONT");
        stops += 1;
    }
    for child in &mut children {
        assert!(child.wait().unwrap().success(), "a child failed");
    }
    let mut sum = [0; 3];
    for index in 0..PROCESSES {
        let counts = read_counts(&file(index));
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let [acknowledged, refused, unknown] = sum;
    let value = resource.query(&["GET", RESOURCE]).unwrap();
    let value = redis::from_redis_value(value).unwrap();
    let counted = Counted { value, acknowledged, refused, unknown, stops };
    eprintln!("{checked}: {counted:?}");
    counted
}

fn read_counts(file: &Path) -> Vec<u64> {
    fs::read_to_string(file).unwrap().split(' ').map(|count| count.parse().unwrap()).collect()
}

#[test]
fn no_acknowledged_update_is_lost_with_tokens() {
    // As often as it takes to catch a holder in the act, within reason.
    for _ in 0..5 {
        let counted = run("checked", length::at_least(Duration::from_secs(8)));
        let Counted { value, acknowledged, unknown, stops, refused } = counted;
        assert!(value >= acknowledged && value <= acknowledged + unknown, "{counted:?}");
        assert!(acknowledged > 100 && stops > 3, "too little happened: {counted:?}");
        if refused > 0 {
            return;
        }
    }
    panic!("no holder was ever stopped in the act");
}

/// The companion: without the check at the resource the same run must lose updates, or it would show nothing.
#[test]
fn without_tokens_acknowledged_updates_are_lost() {
    // As often as it takes to catch a holder in the act, within reason.
    for _ in 0..5 {
        let counted = run("unchecked", Duration::from_secs(8));
        if counted.value < counted.acknowledged {
            return;
        }
    }
    panic!("the test does not bite");
}
