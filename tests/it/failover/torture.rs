//! Promise 1 across outages: readers and writers on three instances, while servers stop, die, come back with old snapshots,
//! and are replaced. Then all is quiet, and what is cached is compared with the source.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fastrand::Rng;
use keylatch::{AfterFailover, Builder, Keylatch};
use tokio::task::JoinSet;

use super::PATIENCE;
use crate::support::cluster::Cluster;
use crate::support::proxy::Mode;
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::{RedisServer, builder};
use crate::torture::{By, Item, Source, at_hand, load_anew, stale_at_hand, within};

const IDS: usize = 300;
const INSTANCES: usize = 3;
const READERS: usize = 6;
/// So many, with that pause between two invalidations, stay below the number of invalidations that a process keeps.
const WRITERS: usize = 3;
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// For how long readers go on when all is over.
const AFTERWARDS: Duration = Duration::from_millis(1_500);
const ENTRIES: [By; 3] = [By::Key, By::Cascade, By::Tracked];

/// What happened in one run.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    reads: u64,
    /// Reads that ran the body though there may have been an entry, and were waited for.
    pub(crate) refreshes: u64,
    invalidations: u64,
    /// Invalidations that no server acknowledged.
    pub(crate) refused: u64,
    /// Answers that were older than what the same instance had invalidated before the call.
    pub(crate) old: u64,
    /// Entries that were cached at the end, seen by each instance, and those of them that were stale.
    cached: usize,
    pub(crate) stale: usize,
    /// Answers from the memory of the instances.
    pub(crate) at_hand: u64,
}

/// Not of everything at once: repeated, that would invalidate whatever the others have left behind.
const SINGLE: &[By] = &[By::Key, By::Tag, By::Pattern];

async fn run(builder: impl Fn() -> Builder, disturbance: impl AsyncFnOnce(&AtomicBool)) -> Figures {
    run_by(IDS, SINGLE, builder, disturbance).await
}

/// Runs readers and writers until the disturbance is over, and counts. The writers invalidate in these ways, and if one of them is
/// [`By::Refresh`], readers load entries anew; writers end earlier if it tells them to, lest they clear away what is stale.
pub(crate) async fn run_by(
    ids: usize,
    ways: &'static [By],
    builder: impl Fn() -> Builder,
    disturbance: impl AsyncFnOnce(&AtomicBool),
) -> Figures {
    let at_hand_before = at_hand();
    let instance = |_| builder().namespace("test").build().expect("good settings");
    let instances: Vec<Keylatch> = (0..INSTANCES).map(instance).collect();
    let versions = (0..ids).map(|_| AtomicU64::new(0)).collect();
    let source = Arc::new(Source { versions, instances });
    let (stop, stop_writing) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let mut rng = Rng::new();
    let (mut readers, mut writers) = (JoinSet::new(), JoinSet::new());
    for _ in 0..READERS {
        readers.spawn(read(Arc::clone(&source), Arc::clone(&stop), ways, rng.fork()));
    }
    for writer in 0..WRITERS {
        writers.spawn(write(Arc::clone(&source), Arc::clone(&stop_writing), ways, writer, rng.fork()));
    }
    disturbance(&stop_writing).await;
    stop_writing.store(true, Ordering::SeqCst);
    let mut all = writers.join_all().await;
    // What readers find meanwhile they store, and nobody invalidates it any more.
    tokio::time::sleep(AFTERWARDS).await;
    stop.store(true, Ordering::SeqCst);
    all.extend(readers.join_all().await);
    let mut figures = Figures::default();
    for one in all {
        figures.reads += one.reads;
        figures.refreshes += one.refreshes;
        figures.invalidations += one.invalidations;
        figures.refused += one.refused;
        figures.old += one.old;
    }
    for keylatch in &source.instances {
        until_it_serves(&source, keylatch).await;
    }
    for keylatch in &source.instances {
        let item = Item { source: &source, keylatch, load: Duration::ZERO };
        for (id, version) in source.versions.iter().enumerate() {
            for by in ENTRIES {
                if let Some(value) = by.peek(item, id).await.expect("the servers are up") {
                    figures.cached += 1;
                    figures.stale += usize::from(value != version.load(Ordering::SeqCst));
                }
            }
        }
    }
    // All is quiet for long, so the news of the last changes have come.
    for by in ENTRIES {
        // The first call may read the store, the second finds what that has kept.
        for _ in 0..2 {
            figures.stale += stale_at_hand(&source, by, 0..ids).await;
        }
    }
    figures.at_hand = at_hand() - at_hand_before;
    figures
}

/// Waits until an instance reads from its servers, before which it has repeated what it keeps.
async fn until_it_serves(source: &Source, keylatch: &Keylatch) {
    let item = Item { source, keylatch, load: Duration::ZERO };
    let began = Instant::now();
    for id in 0..source.versions.len() {
        while By::Key.peek(item, id).await.is_err() || keylatch.invalidate("unrelated").await.is_err() {
            assert!(began.elapsed() < PATIENCE, "the servers do not come back");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

async fn read(source: Arc<Source>, stop: Arc<AtomicBool>, ways: &[By], mut rng: Rng) -> Figures {
    let mut figures = Figures::default();
    let refreshes = ways.contains(&By::Refresh);
    while !stop.load(Ordering::SeqCst) {
        let keylatch = &source.instances[rng.usize(0..INSTANCES)];
        let load = Duration::from_micros(rng.u64(0..5_000));
        let item = Item { source: &source, keylatch, load };
        let by = ENTRIES[rng.usize(0..ENTRIES.len())];
        let id = rng.usize(0..source.versions.len());
        // Few, for each that is stored ends what was made from the entry, and what is at hand of it.
        if refreshes && rng.u8(0..16) == 0 {
            figures.refreshes += u64::from(within(&mut rng, load_anew(item, id)).await);
        } else {
            within(&mut rng, by.read(item, id)).await;
        }
        figures.reads += 1;
        // Answers from memory never wait, and would keep the others from their turn.
        tokio::time::sleep(Duration::from_micros(rng.u64(0..2_000))).await;
    }
    figures
}

/// Changes the source, invalidates, and reads what it has written.
async fn write(
    source: Arc<Source>,
    stop: Arc<AtomicBool>,
    ways: &[By],
    writer: usize,
    mut rng: Rng,
) -> Figures {
    let keylatch = &source.instances[writer % INSTANCES];
    let item = Item { source: &source, keylatch, load: Duration::ZERO };
    let mut figures = Figures::default();
    while !stop.load(Ordering::SeqCst) {
        let id = rng.usize(0..source.versions.len());
        let by = ways[rng.usize(0..ways.len())];
        let version = source.versions[id].fetch_add(1, Ordering::SeqCst) + 1;
        figures.invalidations += 1;
        if let Err(error) = by.invalidate(item, id).await {
            assert!(error.is_retryable(), "{error}");
            figures.refused += 1;
        }
        for by in ENTRIES {
            figures.old += u64::from(by.read(item, id).await < version);
        }
        tokio::time::sleep(LONGEST_PAUSE.mul_f64(rng.f64())).await;
    }
    figures
}

/// Between so many milliseconds and twice as many.
pub(crate) async fn pause(milliseconds: u64) {
    tokio::time::sleep(Duration::from_millis(fastrand::u64(milliseconds..=2 * milliseconds))).await;
}

/// Stops the server, kills it, and starts it again from a snapshot that is older than the last invalidations.
async fn disturb(server: &mut RedisServer) {
    for _ in 0..5 {
        pause(300).await;
        server.query(&["SAVE"]).expect("it answers");
        pause(300).await;
        server.signal("STOP");
        pause(400).await;
        server.signal("CONT");
        pause(300).await;
        server.kill();
        pause(200).await;
        server.restart();
    }
}

async fn on_one_server(builder_of: impl Fn(&RedisServer) -> Builder) -> Figures {
    let mut server = RedisServer::start();
    let settings = builder_of(&server);
    let figures = run(|| settings.clone(), async |_| disturb(&mut server).await).await;
    assert!(figures.cached > 0, "nothing was cached, so nothing was shown: {figures:?}");
    figures
}

pub(crate) fn assert_nothing_is_old(what: &str, figures: &Figures) {
    eprintln!("{what}: {figures:?}");
    assert_eq!(figures.stale, 0, "{what}: {figures:?}");
    assert_eq!(figures.old, 0, "{what}: {figures:?}");
    assert!(figures.cached > 0, "{what}: nothing was cached, so nothing was shown: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_stops_and_comes_back_with_an_old_snapshot() {
    let figures = on_one_server(builder).await;
    assert_nothing_is_old("one server", &figures);
    assert!(figures.refused > 0, "there was no outage: {figures:?}");
    assert!(figures.at_hand > 0, "nothing was kept in memory: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_same_where_old_servers_are_distrusted() {
    let figures = on_one_server(|server| builder(server).after_failover(AfterFailover::Distrust)).await;
    assert_nothing_is_old("one server, distrust", &figures);
}

/// The mutant: where invalidations are not kept, the same run must find stale entries, or it would prove nothing.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_kept_invalidations_entries_are_stale() {
    let figures = on_one_server(|server| builder(server).without_kept_invalidations()).await;
    eprintln!("without kept invalidations: {figures:?}");
    assert!(figures.stale > 0, "the test does not bite: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_replace_the_primary_twice() {
    let mut servers = Sentinels::start(2).await;
    let settings = Keylatch::builder().sentinel(servers.urls(), MASTER);
    let figures = run(
        || settings.clone(),
        async |stop_writing| {
            pause(500).await;
            let first = servers.primary_port().expect("there is one");
            servers.fail_over();
            servers.until_primary_is_not(first).await;
            until_one_follows(&servers).await;
            pause(500).await;
            let second = servers.primary_port().expect("there is one");
            servers.servers.iter_mut().find(|server| server.port() == second).expect("it is ours").kill();
            servers.until_primary_is_not(second).await;
            pause(300).await;
            stop_writing.store(true, Ordering::SeqCst);
            until_settled(&servers).await;
        },
    )
    .await;
    assert_nothing_is_old("sentinel", &figures);
    assert!(figures.refused > 0, "there was no outage: {figures:?}");
}

/// Waits until there is a replica in step, to be promoted.
async fn until_one_follows(servers: &Sentinels) {
    let began = Instant::now();
    let follows = |server: &RedisServer| server.info("master_link_status").as_deref() == Some("up");
    while !servers.servers.iter().any(follows) {
        assert!(began.elapsed() < PATIENCE, "no replica follows");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Waits until the sentinels have named the same primary for a while: two of them may each have led a failover, and the
/// later one counts.
async fn until_settled(servers: &Sentinels) {
    let began = Instant::now();
    let (mut since, mut before) = (began, None);
    while since.elapsed() < Duration::from_secs(2) {
        let named = servers.primary_ports();
        if named.iter().any(|port| port.is_none() || *port != named[0]) || before != named[0] {
            (since, before) = (Instant::now(), named[0]);
        }
        assert!(began.elapsed() < PATIENCE, "the sentinels do not agree");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The replica that is promoted lacks what happened in the last second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_is_promoted_that_was_held_back() {
    let mut servers = Sentinels::start_held_back(1).await;
    let settings = Keylatch::builder().sentinel(servers.urls(), MASTER);
    let figures = run(
        || settings.clone(),
        async |_| {
            pause(1_000).await;
            servers.links[0].set(Mode::Hold);
            pause(700).await;
            let old = servers.servers[0].port();
            servers.servers[0].kill();
            servers.until_primary_is_not(old).await;
            pause(300).await;
        },
    )
    .await;
    assert_nothing_is_old("held back", &figures);
    assert!(figures.refused > 0, "there was no outage: {figures:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_take_over_from_masters_of_a_cluster() {
    let mut cluster = Cluster::start(3, true).await;
    let settings = Keylatch::builder().cluster(cluster.addresses());
    let figures = run(
        || settings.clone(),
        async |_| {
            for node in 0..2 {
                pause(500).await;
                let slot = u16::try_from(node * 16_384 / 3 + 1).expect("a slot");
                cluster.nodes[node].kill();
                cluster.until_owner_is_not(slot, node).await;
                pause(500).await;
                cluster.nodes[node].restart();
                cluster.until_healthy().await;
            }
        },
    )
    .await;
    assert_nothing_is_old("cluster", &figures);
    assert!(figures.refused > 0, "there was no outage: {figures:?}");
}
