//! Many processes, each with a `Keylatch` of its own, on one Redis: one of them renews an entry.

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Builder, Keylatch, cached};
use tokio::task::JoinSet;

use super::{left, stats};
use crate::support::{RedisServer, builder, until};

/// The source that all instances load from.
#[derive(Default)]
struct Shared {
    loads: AtomicU32,
    /// Bodies that run now, and the most that ever did.
    running: AtomicU32,
    most: AtomicU32,
}

const LOAD: Duration = Duration::from_millis(100);

impl Shared {
    async fn load(&self) -> u32 {
        let running = self.running.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(running, Ordering::SeqCst);
        let load = self.loads.fetch_add(1, Ordering::SeqCst) + 1;
        tokio::time::sleep(LOAD).await;
        self.running.fetch_sub(1, Ordering::SeqCst);
        load
    }
}

fn fleet(server: &RedisServer, count: usize, change: fn(Builder) -> Builder) -> Vec<Keylatch> {
    // Patient, for these tests are about who loads, and whoever cannot claim in time loads all the same.
    let patient = || builder(server).pool_size(1).cache_timeout(Duration::from_secs(10));
    let one = || change(patient()).build().expect("the test's settings are good");
    (0..count).map(|_| one()).collect()
}

/// What a fleet saw while all its instances kept asking for one entry.
struct Seen {
    /// From before the first load until after the last one.
    took: Duration,
    loads: u32,
    most_at_once: u32,
    values: u32,
    slowest: Duration,
    calls: usize,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { took, loads, most_at_once, values, slowest, calls } = self;
        let each = f64::from(*loads) / f64::from(*values);
        write!(
            f,
            "{calls} calls saw {values} values of {loads} loads in {took:.1?}: {each:.2} loads a renewal, at most {most_at_once} \
             at once, slowest call {slowest:.1?}"
        )
    }
}

impl Seen {
    /// How many loads there is time for if one instance renews an entry, and does so when the value is that old at the earliest:
    /// `n` loads take `n` times as long as one and `n - 1` such pauses, however many instances ask meanwhile.
    fn most_loads(&self, pause: Duration) -> u32 {
        // Moments in entries are whole milliseconds.
        let pause = pause.saturating_sub(Duration::from_millis(1));
        u32::try_from((self.took + pause).as_millis() / (LOAD + pause).as_millis()).expect("few loads")
    }
}

async fn watch<F>(
    instances: Vec<Keylatch>,
    time: Duration,
    call: impl Fn(Keylatch, Arc<Shared>) -> F + Clone + Send + 'static,
) -> Seen
where
    F: Future<Output = u32> + Send + 'static,
{
    let shared = Arc::new(Shared::default());
    let first = Instant::now();
    call(instances[0].clone(), Arc::clone(&shared)).await;
    let began = Instant::now();
    let mut tasks = JoinSet::new();
    for keylatch in instances {
        let (shared, call) = (Arc::clone(&shared), call.clone());
        tasks.spawn(async move {
            let (mut values, mut slowest, mut calls) = (HashSet::new(), Duration::ZERO, 0_usize);
            while began.elapsed() < time {
                let asked = Instant::now();
                values.insert(call(keylatch.clone(), Arc::clone(&shared)).await);
                slowest = slowest.max(asked.elapsed());
                calls += 1;
                tokio::time::sleep(Duration::from_millis(5 + fastrand::u64(..10))).await;
            }
            (values, slowest, calls)
        });
    }
    let (mut values, mut slowest, mut calls) = (HashSet::new(), Duration::ZERO, 0);
    for (more, time, count) in tasks.join_all().await {
        values.extend(more);
        slowest = slowest.max(time);
        calls += count;
    }
    // What is still under way is a load whose value nobody has seen yet.
    while shared.running.load(Ordering::SeqCst) > 0 {
        tokio::time::sleep(LOAD / 10).await;
    }
    let loads = shared.loads.load(Ordering::SeqCst);
    values.insert(loads);
    Seen {
        took: first.elapsed(),
        loads,
        most_at_once: shared.most.load(Ordering::SeqCst),
        values: u32::try_from(values.len()).expect("few values"),
        slowest,
        calls,
    }
}

/// When an entry that is due after 700 ms is refreshed at the earliest: as the last quarter of that time begins.
const EARLIEST: Duration = Duration::from_millis(525);

#[cached(key = "refreshed", ttl = "10s", refresh_after = "700ms", skip_all, using = keylatch)]
async fn refreshed(keylatch: Keylatch, shared: Arc<Shared>) -> u32 {
    shared.load().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_instances_refresh_an_entry_once() {
    let server = RedisServer::start();
    let time = Duration::from_secs(4);
    let seen = watch(fleet(&server, 50, |builder| builder), time, refreshed).await;
    println(&format!("50 instances, refresh_after: {seen}"));
    assert!(seen.values >= 4, "{seen}");
    assert_eq!(seen.loads, seen.values, "{seen}");
    assert_eq!(seen.most_at_once, 1, "{seen}");
    assert!(seen.loads <= seen.most_loads(EARLIEST), "{seen}");
    assert_eq!(stats("fleet::refreshed").waits, 0, "everybody is answered at once: {seen}");
    assert_eq!(stats("fleet::refreshed").refused, 0);
}

#[cached(key = "unclaimed", ttl = "10s", refresh_after = "700ms", skip_all, using = keylatch)]
async fn unclaimed(keylatch: Keylatch, shared: Arc<Shared>) -> u32 {
    shared.load().await
}

/// The mutant: without the claim, several instances load the same.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_claim_many_do() {
    let server = RedisServer::start();
    let instances = fleet(&server, 50, Builder::without_refresh_claims);
    let seen = watch(instances, Duration::from_secs(2), unclaimed).await;
    println(&format!("50 instances, no claims: {seen}"));
    assert!(seen.most_at_once > 1, "{seen}");
    assert!(seen.loads > seen.most_loads(EARLIEST), "the bound does not bite: {seen}");
    assert!(stats("fleet::unclaimed").refused > 0, "what lost was not stored: {seen}");
}

#[cached(key = "kept", ttl = "700ms", stale_if_error = "1h", load_timeout = "5s", skip_all, using = keylatch)]
async fn kept(keylatch: &Keylatch, shared: &Shared) -> u32 {
    shared.load().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fifty_instances_renew_an_entry_past_its_end_once() {
    let server = RedisServer::start();
    let call = |keylatch: Keylatch, shared: Arc<Shared>| async move { kept(&keylatch, &shared).await };
    let seen = watch(fleet(&server, 50, |builder| builder), Duration::from_secs(4), call).await;
    println(&format!("50 instances, past the end: {seen}"));
    assert!(seen.values >= 4, "{seen}");
    assert_eq!(seen.loads, seen.values, "{seen}");
    assert_eq!(seen.most_at_once, 1, "{seen}");
    assert!(seen.loads <= seen.most_loads(Duration::from_millis(700)), "{seen}");
    assert_eq!(stats("fleet::kept").stale, 0, "nothing failed: {seen}");
}

#[cached(key = "down", ttl = "200ms", stale_if_error = "1h", skip_all, using = keylatch)]
async fn down(keylatch: &Keylatch, shared: &Shared) -> Result<u32, &'static str> {
    match shared.load().await {
        1 => Ok(1),
        _ => Err("it is down"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_source_is_not_hammered() {
    let server = RedisServer::start();
    let call = |keylatch: Keylatch, shared: Arc<Shared>| async move {
        down(&keylatch, &shared).await.expect("the last value answers")
    };
    let seen = watch(fleet(&server, 10, |builder| builder), Duration::from_secs(3), call).await;
    println(&format!("10 instances, failing source: {} calls, {} loads", seen.calls, seen.loads));
    // Each instance tries, then pauses for half a second to a second, then for one to two, then for longer.
    assert!((11..=41).contains(&seen.loads), "{seen}");
    assert_eq!(seen.most_at_once, 1, "{seen}");
    assert!(seen.calls > 200, "{seen}");
}

#[cached(
    key = "hangs",
    ttl = "200ms",
    stale_if_error = "1h",
    load_timeout = "500ms",
    skip_all,
    using = keylatch
)]
async fn hangs(keylatch: &Keylatch, shared: &Shared) -> u32 {
    match shared.load().await {
        1 => 1,
        _ => std::future::pending().await,
    }
}

/// Ten processes, of which one at a time has the claim and hangs: the others do not wait for it call by call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_source_that_hangs_is_waited_for_once() {
    let server = RedisServer::start();
    let call = |keylatch: Keylatch, shared: Arc<Shared>| async move { hangs(&keylatch, &shared).await };
    let seen = watch(fleet(&server, 10, |builder| builder), Duration::from_secs(3), call).await;
    println(&format!("10 instances, hanging source: {seen}"));
    assert!(seen.loads <= 12, "{seen}");
    assert!(seen.calls > 200, "{seen}");
    assert!(seen.slowest < Duration::from_millis(1_500), "{seen}");
}

#[tokio::test]
async fn what_lies_in_redis() {
    let server = RedisServer::start();
    let instances = fleet(&server, 1, |builder| builder);
    let shared = Arc::new(Shared::default());
    kept(&instances[0], &shared).await;
    let left = |key: &str| left(&server, key);
    let slot = left("test:kept");
    assert!((3_600_000..=3_600_700).contains(&slot), "beyond its end by `stale_if_error`: {slot}");
    let stamp = left("test#all");
    assert!(stamp > slot, "its stamps outlive it: {stamp}");

    refreshed(instances[0].clone(), Arc::clone(&shared)).await;
    tokio::time::sleep(Duration::from_millis(700)).await;
    refreshed(instances[0].clone(), Arc::clone(&shared)).await;
    tokio::time::sleep(LOAD / 2).await;
    let claim = left("{test:refreshed}#refresh");
    assert!(claim > 0, "claimed while it loads: {claim}");
    until("the claim is given back", || left("{test:refreshed}#refresh") == -2).await;
    assert_eq!(refreshed(instances[0].clone(), Arc::clone(&shared)).await, 3);
}

/// Figures for whoever runs the test with `--nocapture`.
fn println(text: &str) {
    use std::io::Write;
    writeln!(std::io::stderr(), "{text}").expect("stderr is open");
}
