//! What a process does while its server is down: it keeps what it computes, bounded; it keeps what it invalidates, bounded,
//! and tells the server before it reads anything.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, Key, Keylatch, Pattern, cached};
use tokio::task::JoinSet;

use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer, builder, keylatch, until};

struct Source {
    cache: Keylatch,
    runs: AtomicU32,
    version: AtomicU64,
}

const SIZE: usize = 10_000;

#[cached(key = "large:{n}", ttl = "10m", local = off, skip(source), using = source.cache)]
async fn large(source: &Source, n: usize) -> String {
    source.runs.fetch_add(1, Ordering::SeqCst);
    "x".repeat(SIZE)
}

const TTL: Duration = Duration::from_millis(400);

#[cached(key = "brief", ttl = TTL, local = off, skip(source), using = source.cache)]
async fn brief(source: &Source) -> u32 {
    source.runs.fetch_add(1, Ordering::SeqCst) + 1
}

#[cached(key = "version:{n}", ttl = "10m", local = off, tags = ["tag:{n}"], skip(source), using = source.cache)]
async fn version(source: &Source, n: usize) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    source.version.load(Ordering::SeqCst)
}

impl Source {
    fn on(cache: Keylatch) -> Arc<Self> {
        Arc::new(Self { cache, runs: AtomicU32::new(0), version: AtomicU64::new(1) })
    }

    /// On a server that is down, and known to be.
    async fn in_an_outage(cache: Keylatch) -> Arc<Self> {
        let source = Self::on(cache);
        let error = source.cache.invalidate("unrelated").await.expect_err("nobody listens");
        assert!(error.is_retryable(), "{error}");
        source
    }

    fn runs(&self) -> u32 {
        self.runs.load(Ordering::SeqCst)
    }
}

/// Nobody listens on its port.
fn killed() -> RedisServer {
    let mut server = RedisServer::start();
    server.kill();
    server
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_bounded_in_bytes_and_keeps_what_is_used() {
    const LIMIT: usize = 1 << 20;
    const CALLS: usize = 400;
    let server = killed();
    let cache = builder(&server).outage_memory_limit(LIMIT as u64).build().expect("good settings");
    let source = Source::in_an_outage(cache).await;
    for n in 0..CALLS {
        large(&source, n).await;
        large(&source, 0).await;
    }
    // By age alone it would be thrown out several times; once may be, before its use is known.
    let again = source.runs() - u32::try_from(CALLS).expect("few");
    assert!(again <= 1, "what is used all the time was thrown out {again} times");
    let mut kept = 0;
    for n in 0..CALLS {
        kept += usize::from(large(&source, n).peek().await.expect("it is in memory").is_some());
    }
    assert!(kept * SIZE <= LIMIT, "{kept} of {SIZE} bytes each");
    assert!(kept * SIZE >= LIMIT / 2, "only {kept} of {SIZE} bytes each");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lives_end_there_too() {
    let server = killed();
    let source = Source::in_an_outage(keylatch(&server)).await;
    let began = Instant::now();
    assert_eq!(brief(&source).await, 1);
    assert_eq!(brief(&source).await, 1);
    assert!(began.elapsed() < TTL, "too slow to show anything");
    while brief(&source).await == 1 {
        assert!(began.elapsed() < TTL * 3, "it lives for ever");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(began.elapsed() >= TTL, "{:?}", began.elapsed());
}

#[cached(key = "broken:{n}", ttl = "10m", local = off, skip(source), using = source.cache)]
async fn broken(source: &Source, n: usize) -> Result<u64, &'static str> {
    source.runs.fetch_add(1, Ordering::SeqCst);
    if n == usize::MAX { Ok(0) } else { Err("the database is down, too") }
}

#[cached(key = "broken:{ids[]}", ttl = "10m", skip(source), using = source.cache)]
async fn all_broken(source: &Source, ids: Vec<usize>) -> Result<HashMap<usize, u64>, &'static str> {
    source.runs.fetch_add(1, Ordering::SeqCst);
    if ids.is_empty() { Ok(HashMap::new()) } else { Err("the database is down, too") }
}

/// What was claimed in the refuge is nothing to the server: tasks that would give it back there would heap up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loads_that_fail_leave_no_work_behind() {
    let server = killed();
    let source = Source::in_an_outage(keylatch(&server)).await;
    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let before = tasks();
    for n in 0..200 {
        broken(&source, n).await.expect_err("it fails");
        all_broken(&source, vec![n, n + 1_000]).await.expect_err("it fails");
    }
    assert_eq!(source.runs(), 400);
    // A probe may be on its way.
    assert!(tasks() < before + 10, "{} tasks", tasks());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switched_off_every_call_runs_its_body() {
    let server = killed();
    let cache = builder(&server).outage_memory_limit(0).build().expect("good settings");
    let source = Source::in_an_outage(cache).await;
    for run in 1..=5 {
        assert_eq!(version(&source, 0).await, 1);
        assert_eq!(source.runs(), run);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_invalidated_in_every_way() {
    let server = killed();
    let source = Source::in_an_outage(keylatch(&server)).await;
    for way in 0..5 {
        let before = source.version.load(Ordering::SeqCst);
        for n in 0..2 {
            version(&source, n).await;
            assert_eq!(version(&source, n).peek().await.expect("it is in memory"), Some(before));
        }
        source.version.fetch_add(1, Ordering::SeqCst);
        let cache = &source.cache;
        let told = match way {
            0 => version(&source, 0).invalidate().await,
            1 => cache.invalidate_tag(Key::of("tag").part(&0)).await,
            2 => cache.invalidate_matching(&Pattern::of("version").part(&0)).await,
            3 => version(&source, 0).invalidate_all().await,
            _ => cache.clear().await,
        };
        assert!(told.is_err_and(|error| error.is_retryable()), "the server cannot know");
        assert_eq!(version(&source, 0).await, before + 1, "way {way}");
        let other = version(&source, 1).peek().await.expect("it is in memory");
        assert_eq!(other, (way < 3).then_some(before), "way {way}: what else goes");
        version(&source, 1).invalidate().await.expect_err("the server is down");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_computed_meanwhile_is_not_stored_on_the_server() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let source = Source::on(behind(&proxy));
    proxy.set(Mode::Refuse);
    until_down(&source).await;
    version(&source, 0).await;
    assert_eq!(version(&source, 0).peek().await.expect("it is in memory"), Some(1));
    // Another process changes it meanwhile, of which this one hears nothing.
    source.version.store(2, Ordering::SeqCst);
    proxy.set(Mode::Pass);
    until_up(&source).await;
    assert_eq!(version(&source, 0).await, 2);
}

fn behind(proxy: &Proxy) -> Keylatch {
    Keylatch::builder().redis_url(proxy.url()).namespace("test").build().expect("good settings")
}

async fn until_down(source: &Source) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while source.cache.invalidate("unrelated").await.is_ok() {
        assert!(Instant::now() < deadline, "it does not go down");
    }
}

async fn until_up(source: &Source) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while source.cache.invalidate("unrelated").await.is_err() {
        assert!(Instant::now() < deadline, "it does not come back");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// So many entries are invalidated while the server cannot be reached; readers go on all the time, and never see what was
/// there before. Whether an entry that nobody has invalidated is there in the end.
async fn invalidated_in_an_outage(count: usize) -> bool {
    const BYSTANDER: usize = usize::MAX;
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let source = Source::on(behind(&proxy));
    let watched = [0, count / 2, count - 1];
    for n in watched.into_iter().chain([BYSTANDER]) {
        version(&source, n).await;
        assert_eq!(version(&source, n).peek().await.expect("the server is up"), Some(1));
    }
    proxy.set(Mode::Refuse);
    until_down(&source).await;
    source.version.store(2, Ordering::SeqCst);
    for n in 0..count {
        version(&source, n).invalidate().await.expect_err("the server cannot be reached");
    }
    let (stop, reads) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU32::new(0)));
    let mut readers = JoinSet::new();
    for n in watched.into_iter().cycle().take(9) {
        let (source, stop, reads) = (Arc::clone(&source), Arc::clone(&stop), Arc::clone(&reads));
        readers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(version(&source, n).await, 2, "{n} was invalidated");
                reads.fetch_add(1, Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
    }
    until("readers read meanwhile", || reads.load(Ordering::SeqCst) > 100).await;
    proxy.set(Mode::Pass);
    until_up(&source).await;
    let there = version(&source, BYSTANDER).peek().await.expect("the server is up").is_some();
    let before = reads.load(Ordering::SeqCst);
    until("readers read afterwards", || reads.load(Ordering::SeqCst) > before + 100).await;
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = readers.join_next().await {
        ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
    }
    assert!(source.cache.shutdown(Duration::from_secs(5)).await.is_empty(), "the server knows everything");
    there
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_invalidations_come_before_any_read() {
    assert!(invalidated_in_an_outage(4_000).await, "what nobody has invalidated is there");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_invalidations_than_are_kept_invalidate_everything() {
    assert!(!invalidated_in_an_outage(6_000).await, "an entry has outlived its invalidation");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kept_invalidations_are_bounded() {
    let server = killed();
    let source = Source::in_an_outage(keylatch(&server)).await;
    for n in 0..6_000 {
        version(&source, n).invalidate().await.expect_err("nobody listens");
    }
    let left = source.cache.shutdown(Duration::from_millis(50)).await;
    assert!((1..=10_000).contains(&left.invalidations), "{left}");
}
