//! Promise 1: no permanently stale entry, whatever the interleaving.
//!
//! Each round takes some keys. Around each, readers on three instances and two writers meet within a few milliseconds;
//! some readers are dropped in the middle. Then all is quiet, and what is cached is compared with the source.

mod cut;

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use fastrand::Rng;
use keylatch::{CachedCall, Key, Keylatch, Pattern, cached};

use crate::support::{RedisServer, builder};

/// What the cached functions read and the writers change.
pub(crate) struct Source {
    pub(crate) versions: Vec<AtomicU64>,
    pub(crate) instances: Vec<Keylatch>,
}

/// How entries are invalidated in one run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    Key,
    Tag,
    Pattern,
    Function,
    Cascade,
    Tracked,
    TrackedByPattern,
    Clear,
    /// By its key, while readers load it anew.
    Refresh,
}

pub(crate) const KEYS_PER_RUN: usize = 1_000;
const KEYS_AT_ONCE: usize = 40;
const READERS: usize = 6;
const WRITERS: usize = 2;
const WINDOW: Duration = Duration::from_millis(8);
/// A push takes a fraction of a millisecond.
const QUIET: Duration = Duration::from_millis(20);
/// Calls of one actor. A reader's first finds nothing or what is in the store, the second may find it in memory.
const CALLS: usize = 2;

#[derive(Clone, Copy)]
pub(crate) struct Item<'a> {
    pub(crate) source: &'a Source,
    pub(crate) keylatch: &'a Keylatch,
    pub(crate) load: Duration,
}

#[cached(key = "item:{id}", ttl = "10m", tags = ["item-tag:{id}"], skip(item), using = item.keylatch)]
async fn item(item: Item<'_>, id: usize) -> u64 {
    load(&item, id).await
}

#[cached(key = "declared:{id}", ttl = "10m", skip(item), depends_on(self::item(item, id)), using = item.keylatch)]
async fn declared(item: Item<'_>, id: usize) -> u64 {
    load(&item, id).await
}

#[cached(key = "tracked:{id}", ttl = "10m", skip(item), using = item.keylatch)]
async fn tracked(item: Item<'_>, id: usize) -> u64 {
    self::item(item, id).await
}

/// Reads the source at once and returns late: what is read is old by the time it is stored.
async fn load(item: &Item<'_>, id: usize) -> u64 {
    let version = item.source.versions[id].load(Ordering::SeqCst);
    tokio::time::sleep(item.load).await;
    version
}

/// Runs the body though there may be an entry, and stores what it answers.
pub(crate) async fn load_anew(item: Item<'_>, id: usize) -> u64 {
    self::item(item, id).refresh().await
}

impl By {
    pub(crate) async fn read(self, item: Item<'_>, id: usize) -> u64 {
        match self {
            Self::Cascade => declared(item, id).await,
            Self::Tracked | Self::TrackedByPattern => tracked(item, id).await,
            _ => self::item(item, id).await,
        }
    }

    pub(crate) async fn peek(self, item: Item<'_>, id: usize) -> keylatch::Result<Option<u64>> {
        match self {
            Self::Cascade => declared(item, id).peek().await,
            Self::Tracked | Self::TrackedByPattern => tracked(item, id).peek().await,
            _ => self::item(item, id).peek().await,
        }
    }

    pub(crate) async fn invalidate(self, item: Item<'_>, id: usize) -> keylatch::Result<()> {
        let keylatch = item.keylatch;
        match self {
            Self::Key | Self::Cascade | Self::Tracked | Self::Refresh => {
                self::item(item, id).invalidate().await
            }
            Self::Tag => keylatch.invalidate_tag(Key::of("item-tag").part(&id)).await,
            Self::Pattern | Self::TrackedByPattern => {
                keylatch.invalidate_matching(&Pattern::of("item").part(&id)).await
            }
            Self::Function => self::item(item, id).invalidate_all().await,
            Self::Clear => keylatch.clear().await,
        }
    }
}

/// One run over all keys; how many were cached at the end, and how many of those were stale.
async fn run(source: Arc<Source>, by: By, seed: u64) -> (usize, usize) {
    let mut rng = Rng::with_seed(seed);
    let (mut cached, mut stale) = (0, 0);
    for first in (0..source.versions.len()).step_by(KEYS_AT_ONCE) {
        let ids = first..(first + KEYS_AT_ONCE).min(source.versions.len());
        let mut actors = tokio::task::JoinSet::new();
        for id in ids.clone() {
            for reader in 0..READERS {
                actors.spawn(reader_of(Arc::clone(&source), by, id, reader, rng.fork()));
            }
            for writer in 0..WRITERS {
                actors.spawn(writer_of(Arc::clone(&source), by, id, writer, rng.fork()));
            }
        }
        while let Some(ended) = actors.join_next().await {
            ended.expect("no actor panics");
        }
        for id in ids.clone() {
            let item = Item { source: &source, keylatch: &source.instances[0], load: Duration::ZERO };
            if let Some(value) = by.peek(item, id).await.expect("the store is up") {
                cached += 1;
                stale += usize::from(value != source.versions[id].load(Ordering::SeqCst));
            }
        }
        // News of the last changes may still be on their way to the memory of the instances.
        tokio::time::sleep(QUIET).await;
        stale += stale_at_hand(&source, by, ids).await;
    }
    (cached, stale)
}

/// How many answers are old when every instance is asked, which answers from its memory if it can. A body answers with what
/// the source has now, so what is old was kept.
pub(crate) async fn stale_at_hand(source: &Source, by: By, ids: std::ops::Range<usize>) -> usize {
    let mut stale = 0;
    for keylatch in &source.instances {
        for id in ids.clone() {
            let item = Item { source, keylatch, load: Duration::ZERO };
            stale += usize::from(by.read(item, id).await != source.versions[id].load(Ordering::SeqCst));
        }
    }
    stale
}

async fn reader_of(source: Arc<Source>, by: By, id: usize, index: usize, mut rng: Rng) {
    let keylatch = &source.instances[index % source.instances.len()];
    for _ in 0..CALLS {
        tokio::time::sleep(WINDOW.mul_f64(rng.f64())).await;
        let load = Duration::from_micros(rng.u64(0..5_000));
        let item = Item { source: &source, keylatch, load };
        if by == By::Refresh && rng.bool() {
            within(&mut rng, load_anew(item, id)).await;
        } else {
            within(&mut rng, by.read(item, id)).await;
        }
    }
}

/// One in five is dropped at a random moment. Whether it was answered.
pub(crate) async fn within(rng: &mut Rng, call: impl Future<Output = u64>) -> bool {
    if rng.u8(0..5) == 0 {
        let limit = Duration::from_micros(rng.u64(0..6_000));
        tokio::time::timeout(limit, call).await.is_ok()
    } else {
        call.await;
        true
    }
}

async fn writer_of(source: Arc<Source>, by: By, id: usize, index: usize, mut rng: Rng) {
    let keylatch = &source.instances[index % source.instances.len()];
    let item = Item { source: &source, keylatch, load: Duration::ZERO };
    for _ in 0..CALLS {
        tokio::time::sleep(WINDOW.mul_f64(rng.f64())).await;
        source.versions[id].fetch_add(1, Ordering::SeqCst);
        by.invalidate(item, id).await.expect("the store is up");
    }
}

fn seed() -> u64 {
    let seed = std::env::var("KEYLATCH_TORTURE_SEED").ok().and_then(|seed| seed.parse().ok());
    seed.unwrap_or_else(|| fastrand::u64(..))
}

/// How long each way is tried: `KEYLATCH_TORTURE_SECONDS`, at least one run over all keys.
fn duration() -> Duration {
    let seconds = std::env::var("KEYLATCH_TORTURE_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(seconds.unwrap_or(0))
}

fn source(keys: usize, instances: Vec<Keylatch>) -> Arc<Source> {
    let versions = (0..keys).map(|_| AtomicU64::new(0)).collect();
    Arc::new(Source { versions, instances })
}

/// How many calls were answered by the memory of an instance.
pub(crate) async fn none_is_stale(by: By, keys: usize, instances: Vec<Keylatch>) -> u64 {
    let began = std::time::Instant::now();
    let source = source(keys, instances);
    let before = at_hand();
    loop {
        let seed = seed();
        let (cached, stale) = run(Arc::clone(&source), by, seed).await;
        eprintln!("{by:?}: seed {seed}: {cached} of {keys} cached, {stale} stale");
        assert_eq!(stale, 0, "{by:?}, KEYLATCH_TORTURE_SEED={seed}");
        assert!(cached > 0, "{by:?}: nothing was cached, so nothing was shown");
        if began.elapsed() >= duration() {
            let at_hand = at_hand() - before;
            eprintln!("{by:?}: {at_hand} answers from memory");
            return at_hand;
        }
    }
}

/// Calls that were answered by the memory of an instance so far.
pub(crate) fn at_hand() -> u64 {
    keylatch::stats().iter().map(|function| function.local_hits).sum()
}

fn on_redis(server: &RedisServer) -> Vec<Keylatch> {
    (0..3).map(|_| builder(server).build().expect("good settings")).collect()
}

macro_rules! ways {
    ($($name:ident: $by:expr),* $(,)?) => {
        mod redis {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                let server = RedisServer::start();
                let at_hand = none_is_stale($by, KEYS_PER_RUN, on_redis(&server)).await;
                assert!(at_hand > 0, "nothing was kept in memory, so nothing was shown of it");
            })*
        }
        mod embedded {
            use super::*;
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                none_is_stale($by, KEYS_PER_RUN, vec![Keylatch::in_memory()]).await;
            })*
        }
    };
}

ways! {
    key: By::Key,
    tag: By::Tag,
    pattern: By::Pattern,
    function: By::Function,
    cascade_declared: By::Cascade,
    cascade_tracked: By::Tracked,
    cascade_tracked_by_pattern: By::TrackedByPattern,
    clear: By::Clear,
    refresh: By::Refresh,
}

/// The mutant: with the fill check off, the same run must find stale entries, or it would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fill_check_entries_are_stale() {
    let server = RedisServer::start();
    let broken = |builder: keylatch::Builder| builder.without_fill_check().build().expect("good settings");
    let on_redis = (0..3).map(|_| broken(builder(&server))).collect();
    for (name, instances) in [("redis", on_redis), ("embedded", vec![broken(Keylatch::builder())])] {
        let (cached, stale) = run(source(KEYS_PER_RUN, instances), By::Key, seed()).await;
        eprintln!("without the fill check on {name}: {cached} cached, {stale} stale");
        assert!(stale > 0, "{name}: the test does not bite");
    }
}

/// Answers that are kept late: anything may have happened since they came, and nobody may come after them who would load
/// anew, which would put right what was kept wrongly.
fn late(builder: keylatch::Builder) -> keylatch::Builder {
    builder.with_late_keeping(WINDOW)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_answers_are_not_kept() {
    let server = RedisServer::start();
    for by in [By::Key, By::Tag] {
        let instances = (0..3).map(|_| late(builder(&server)).build().expect("good settings")).collect();
        none_is_stale(by, KEYS_PER_RUN / 2, instances).await;
    }
}

/// The mutant: if late answers are kept whatever has changed meanwhile, the same run must find them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_reservations_what_is_at_hand_is_stale() {
    let server = RedisServer::start();
    let broken = |_| late(builder(&server)).without_reservations().build().expect("good settings");
    // A run finds one to three, and often none.
    for _ in 0..12 {
        let source = source(KEYS_PER_RUN, (0..3).map(broken).collect());
        let (_, stale) = run(source, By::Key, seed()).await;
        eprintln!("without reservations: {stale} stale");
        if stale > 0 {
            return;
        }
        assert!(server.command("FLUSHALL").is_some());
    }
    panic!("the test does not bite");
}
