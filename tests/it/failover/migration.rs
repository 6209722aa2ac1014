//! Slots of a cluster move from one master to another while callers read, write, invalidate and lock: no call fails, and
//! nothing is stale, whether a key has moved already, or its stamp has and it has not.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keylatch::{CachedCall, Key};
use tokio::task::JoinSet;

use super::cluster::{on, owner};
use super::{Data, LOOK_UP, Process, Readers, SLACK, entry, made};
use crate::support::cluster::Cluster;

/// Every kind of key: an entry with its own stamp, a tag, a function, the namespace, a lock.
const MOVED: [&str; 6] = [
    "test:entry:1",
    "test:made:1",
    "test#tag:entry-tag:1",
    "test#template:entry:%7B%7D",
    "test#all",
    "test#lock:moved",
];

/// One slot on its way.
struct Move {
    slot: u16,
    from: usize,
    to: usize,
}

fn moves(cluster: &Cluster) -> Vec<Move> {
    MOVED
        .iter()
        .map(|key| {
            let from = owner(cluster, key);
            Move { slot: cluster.slot_of(key), from, to: (from + 1) % 3 }
        })
        .collect()
}

/// Invalidates by key and by tag, and locks, all the time; nothing of it may fail, and nobody may see what was there
/// before. How often, and the longest that an invalidation took.
fn writers(processes: &[Arc<Process>], stop: &Arc<AtomicBool>) -> JoinSet<(u32, Duration)> {
    let mut tasks = JoinSet::new();
    for (index, process) in processes.iter().enumerate() {
        let (process, stop) = (Arc::clone(process), Arc::clone(stop));
        let other = Arc::clone(&processes[(index + 1) % processes.len()]);
        tasks.spawn(async move {
            let (mut writes, mut longest) = (0, Duration::ZERO);
            while !stop.load(Ordering::SeqCst) {
                let id = 1 + fastrand::usize(0..3);
                let version = process.data.write(id);
                let began = Instant::now();
                let invalidated = if fastrand::bool() {
                    entry(&process, id).invalidate().await
                } else {
                    process.cache.invalidate_tag(Key::of("entry-tag").part(&id)).await
                };
                invalidated.unwrap_or_else(|error| panic!("an invalidation of {id}: {error}"));
                longest = longest.max(began.elapsed());
                for process in [&process, &other] {
                    assert!(entry(process, id).await >= version, "an old entry");
                    assert!(made(process, id).await >= version, "an old entry made of another");
                }
                let locked = process.cache.lock("moved").run(async |_lease| ()).await;
                locked.unwrap_or_else(|error| panic!("a lock: {error}"));
                writes += 1;
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            (writes, longest)
        });
    }
    tasks
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_under_readers_and_writers() {
    let cluster = Cluster::start(3, false).await;
    let data = Data::new();
    let processes = [Process::new(on(&cluster), &data), Process::new(on(&cluster), &data)];
    processes[0].until_hits(0..10).await;
    let readers = Readers::start(&processes, 0..10);
    let stop = Arc::new(AtomicBool::new(false));
    let mut writers = writers(&processes, &stop);
    let began = Instant::now();
    // There and back again, so that each node has been on either side.
    for _ in 0..3 {
        let moves = moves(&cluster);
        for Move { slot, from, to } in &moves {
            cluster.begin_migration(*slot, *from, *to);
        }
        pause().await;
        // The entries without their stamps, and the stamps without their entries.
        cluster.migrate_key(MOVED[0], moves[0].from, moves[0].to);
        cluster.migrate_key("{test:made:1}#stamp", moves[1].from, moves[1].to);
        pause().await;
        for Move { slot, from, to } in &moves {
            cluster.end_migration(*slot, *from, *to);
            pause().await;
        }
    }
    let took = began.elapsed();
    stop.store(true, Ordering::SeqCst);
    let (mut written, mut longest) = (0, Duration::ZERO);
    while let Some(ended) = writers.join_next().await {
        let (count, took) = ended.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()));
        written += count;
        longest = longest.max(took);
    }
    let seen = readers.stop().await;
    // A look-up that ran into its limit, or a command that did, would take longer.
    assert!(longest < LOOK_UP + SLACK && seen.slowest < LOOK_UP + SLACK, "{longest:?}, {seen:?}");
    assert!(seen.slow * 1_000 <= seen.calls, "entries answer: {seen:?}");
    for process in &processes {
        process.until_hits(0..10).await;
        assert_eq!(process.stale(0..10).await, [] as [usize; 0]);
    }
    eprintln!(
        "18 slots moved in {took:?}: {} reads, slowest {:?}, {written} written, longest {longest:?}",
        seen.calls, seen.slowest
    );
}

/// Long enough for callers to meet every state of the slots.
async fn pause() {
    tokio::time::sleep(Duration::from_millis(150)).await;
}

/// A slot may stay on its way for hours: its entries are hits meanwhile, whether they have moved or are stored anew.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_of_a_slot_on_its_way_are_hits() {
    let cluster = Cluster::start(3, false).await;
    let data = Data::new();
    let process = Process::new(on(&cluster), &data);
    let began = moves(&cluster);
    for Move { slot, from, to } in &began {
        cluster.begin_migration(*slot, *from, *to);
    }
    process.until_hits([1]).await;
    let mut runs = 0;
    for round in 0..20 {
        let version = data.write(1);
        let invalidated = Instant::now();
        entry(&process, 1).invalidate().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
        assert!(invalidated.elapsed() < Duration::from_millis(200), "{:?}", invalidated.elapsed());
        assert_eq!(made(&process, 1).await, version);
        let before = process.runs(1);
        assert_eq!(made(&process, 1).await, version);
        assert_eq!(entry(&process, 1).await, version);
        runs += process.runs(1) - before;
        process.cache.lock("moved").run(async |_lease| ()).await.expect("a lock");
    }
    assert_eq!(runs, 0, "they are stored and found");
    for Move { slot, from, to } in &began {
        cluster.end_migration(*slot, *from, *to);
    }
    process.until_hits([1]).await;
    assert_eq!(process.stale([1]).await, [] as [usize; 0]);
}
