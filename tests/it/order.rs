//! A reader that starts after `invalidate()` has returned never sees an older value: in the process, and across instances.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use keylatch::{Builder, CachedCall, Key, Keylatch, Pattern, cached};
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::local::from_memory;
use crate::support::{RedisServer, builder};

const ROUNDS: u64 = 10_000;
const BACKGROUND_READERS: usize = 4;
const PATIENCE: Duration = Duration::from_millis(100);

struct Source {
    version: AtomicU64,
    /// The round in which loads are held before they return.
    hold: watch::Sender<Option<u64>>,
    /// The loads that are held.
    held: watch::Sender<Vec<Held>>,
    loads: AtomicU64,
}

/// What a load has read that is held in that round.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Held {
    round: u64,
    seen: u64,
}

impl Source {
    fn new() -> Self {
        let (version, loads) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { version, hold: watch::Sender::new(None), held: watch::Sender::default(), loads }
    }

    /// Reads the source at once and returns late: what it has read is old by then.
    async fn load(&self) -> u64 {
        let seen = self.version.load(Ordering::SeqCst);
        let mut hold = self.hold.subscribe();
        let round = *hold.borrow();
        if let Some(round) = round {
            let load = Held { round, seen };
            self.held.send_modify(|held| held.push(load));
            hold.wait_for(|hold| *hold != Some(round)).await.map(drop).expect("the source lives");
            self.held.send_modify(|held| held.retain(|other| *other != load));
        }
        for _ in 0..self.loads.fetch_add(1, Ordering::Relaxed) % 7 {
            tokio::task::yield_now().await;
        }
        seen
    }
}

#[cached(key = "ordered", ttl = "10m", tags = ["ordered-tag"], local = off, skip_all, using = cache)]
async fn ordered(cache: &Keylatch, source: &Source) -> u64 {
    source.load().await
}

/// The same with values in the memory of the process.
#[cached(key = "ordered-at-hand", ttl = "10m", tags = ["ordered-tag"], skip_all, using = cache)]
async fn ordered_at_hand(cache: &Keylatch, source: &Source) -> u64 {
    source.load().await
}

#[cached(key = "made-from-ordered", ttl = "10m", local = off, skip_all, using = cache)]
async fn made_from_ordered(cache: &Keylatch, source: &Source) -> u64 {
    ordered(cache, source).await
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Key,
    Tag,
    Cascade,
    CascadeByPattern,
    KeyAtHand,
    TagAtHand,
}

impl By {
    async fn read(self, cache: &Keylatch, source: &Source) -> u64 {
        match self {
            Self::Key | Self::Tag => ordered(cache, source).await,
            Self::KeyAtHand | Self::TagAtHand => ordered_at_hand(cache, source).await,
            Self::Cascade | Self::CascadeByPattern => made_from_ordered(cache, source).await,
        }
    }

    async fn invalidate(self, cache: &Keylatch, source: &Source) {
        match self {
            Self::Key | Self::Cascade => ordered(cache, source).invalidate().await,
            Self::CascadeByPattern => cache.invalidate_matching(&Pattern::of("ordered")).await,
            Self::KeyAtHand => ordered_at_hand(cache, source).invalidate().await,
            Self::Tag | Self::TagAtHand => cache.invalidate_tag(Key::of("ordered-tag")).await,
        }
        .expect("the store is up");
    }
}

/// What a reader saw that it must not see.
#[derive(Debug)]
#[expect(dead_code, reason = "shown when a test fails")]
struct Older {
    round: u64,
    wrote: u64,
    read: u64,
}

/// `count` times: while a load is held that has read the old version, the source changes, one instance invalidates, and
/// another reads. The load goes on shortly before that read or while it is under way.
async fn rounds(by: By, instances: &[Keylatch], count: u64) -> Result<(), Older> {
    let source = Arc::new(Source::new());
    let done = Arc::new(AtomicBool::new(false));
    let mut background = JoinSet::new();
    for reader in 0..BACKGROUND_READERS {
        let (source, done) = (Arc::clone(&source), Arc::clone(&done));
        let cache = instances[reader % instances.len()].clone();
        background.spawn(async move {
            let mut hold = source.hold.subscribe();
            while !done.load(Ordering::Relaxed) {
                // While nothing is held, reads are hits, of which two processors can make better use.
                let asked = async { hold.wait_for(Option::is_some).await.map(drop) };
                let _woken = tokio::time::timeout(PATIENCE, asked).await;
                by.read(&cache, &source).await;
                tokio::task::yield_now().await;
            }
        });
    }
    let (mut writers, mut readers) = (instances.iter().cycle(), instances.iter().cycle().skip(1));
    let mut outcome = Ok(());
    for round in 0..count {
        let (writer, reader) = (writers.next().unwrap(), readers.next().unwrap());
        let wrote = source.version.load(Ordering::SeqCst) + 1;
        source.hold.send_replace(Some(round));
        let mut held = source.held.subscribe();
        let older = |held: &Vec<Held>| held.iter().any(|load| load.round == round && load.seen < wrote);
        let mut tries = 0;
        loop {
            by.invalidate(reader, &source).await;
            if tokio::time::timeout(PATIENCE, held.wait_for(older)).await.is_ok() {
                break;
            }
            // Without the fill check, a late load of the round before may have been stored.
            tries += 1;
            assert!(tries < 100, "{by:?}: nobody loads in round {round}");
        }
        source.version.store(wrote, Ordering::SeqCst);
        by.invalidate(writer, &source).await;
        assert!(older(&source.held.borrow()), "{by:?}: no older load is under way in round {round}");
        let go_on = async {
            for _ in 0..round % 5 {
                tokio::task::yield_now().await;
            }
            source.hold.send_replace(None);
        };
        let read = if round % 2 == 0 {
            go_on.await;
            by.read(reader, &source).await
        } else {
            tokio::join!(by.read(reader, &source), go_on).0
        };
        if read < wrote {
            outcome = Err(Older { round, wrote, read });
            break;
        }
    }
    done.store(true, Ordering::Relaxed);
    tokio::time::timeout(Duration::from_secs(10), background.join_all()).await.expect("no reader hangs");
    outcome
}

async fn never_older(by: By, instances: &[Keylatch], count: u64) {
    let outcome = rounds(by, instances, count).await;
    assert!(outcome.is_ok(), "{by:?} on {} instances: {outcome:?}", instances.len());
}

fn two(server: &RedisServer) -> [Keylatch; 2] {
    [(); 2].map(|()| builder(server).build().expect("good settings"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_same_process() {
    for by in [By::Key, By::Tag] {
        never_older(by, &[Keylatch::in_memory()], ROUNDS).await;
    }
    for by in [By::Cascade, By::CascadeByPattern] {
        never_older(by, &[Keylatch::in_memory()], ROUNDS / 5).await;
    }
}

/// Across instances there is a moment until news of the change arrive; see `local::the_window_until_a_push_arrives`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_the_invalidating_process_with_values_at_hand() {
    let server = RedisServer::start();
    let [instance, _] = two(&server);
    for by in [By::KeyAtHand, By::TagAtHand] {
        never_older(by, std::slice::from_ref(&instance), ROUNDS / 10).await;
    }
    assert!(from_memory("order::ordered_at_hand") > 0, "nothing was at hand");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_instances_by_key() {
    never_older(By::Key, &two(&RedisServer::start()), ROUNDS).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_instances_by_tag() {
    never_older(By::Tag, &two(&RedisServer::start()), ROUNDS * 2 / 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn across_instances_by_cascade() {
    let server = RedisServer::start();
    never_older(By::Cascade, &two(&server), ROUNDS / 10).await;
    never_older(By::CascadeByPattern, &two(&server), ROUNDS / 10).await;
}

/// The mutant: with the fill check off, the same rounds must find an older value, or they would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_fill_check_an_older_value_is_read() {
    let server = RedisServer::start();
    let broken = |builder: Builder| builder.without_fill_check().build().expect("good settings");
    let on_redis = vec![broken(builder(&server)), broken(builder(&server))];
    for (name, instances) in [("redis", on_redis), ("embedded", vec![broken(Keylatch::builder())])] {
        let outcome = rounds(By::Key, &instances, ROUNDS).await;
        eprintln!("without the fill check on {name}: {outcome:?}");
        assert!(outcome.is_err(), "{name}: the test does not bite");
    }
}
