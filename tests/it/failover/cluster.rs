//! A cluster: each node dies in turn as a master and comes back as a replica, and replicas take over on request, while callers go
//! on.

use std::time::{Duration, Instant};

use keylatch::{CachedCall, Keylatch, redis};

use super::commands::{Commands, Target};
use super::{COMMAND, Data, LOOK_UP, PATIENCE, Process, REPLACED, Readers, SLACK, TAKEN_UP, entry, made};
use crate::support::RedisServer;
use crate::support::cluster::Cluster;

pub(super) fn on(cluster: &Cluster) -> keylatch::Builder {
    Keylatch::builder().cluster(cluster.addresses())
}

/// What every entry depends on, besides what is its own.
const SHARED: [&str; 2] = ["test#all", "test#template:entry:%7B%7D"];

pub(super) fn owner(cluster: &Cluster, key: &str) -> usize {
    cluster.owner(cluster.slot_of(key)).expect("the slots are all owned")
}

/// The ids for which a call needs nothing of that node.
fn away_from(cluster: &Cluster, node: usize, ids: std::ops::Range<usize>) -> Vec<usize> {
    if SHARED.iter().any(|key| owner(cluster, key) == node) {
        return Vec::new();
    }
    let away = |key: String| owner(cluster, &key) != node;
    ids.filter(|id| away(format!("test:entry:{id}")) && away(format!("test#tag:entry-tag:{id}"))).collect()
}

fn has_taken_over(replica: &RedisServer) -> bool {
    replica.info("role").as_deref() == Some("master")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_is_killed_in_turn_and_comes_back() {
    let mut cluster = Cluster::start(3, true).await;
    let data = Data::new();
    let without_refuge = Process::new(on(&cluster).outage_memory_limit(0), &data);
    let processes = [Process::new(on(&cluster), &data), without_refuge];
    let commander = Process::new(on(&cluster).command_timeout(COMMAND), &data);
    let mut spared = 0;
    // The masters, and then those that took over from them.
    for node in 0..6 {
        for node in &cluster.nodes {
            // By default, all nodes refuse while one is missing, and nothing can be spared.
            node.query(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]).expect("it answers");
        }
        processes[0].until_hits(0..30).await;
        let away = away_from(&cluster, node, 0..30);
        let slot = u16::try_from(node % 3 * 16_384 / 3 + 1).expect("a slot");
        let replica = (node + 3) % 6;
        let its = Target::on(&cluster, |owner| owner == node);
        let of_others = Target::on(&cluster, |owner| owner != node);
        for target in [&its, &of_others] {
            commander.until_answered(target.key()).await;
        }
        let readers = Readers::start(&processes, 0..30);
        let commands = Commands::start(&commander, [its, of_others]);
        commands.until_answered().await;
        cluster.nodes[node].kill();
        let killed = Instant::now();
        // As long as nobody has taken over.
        while cluster.owner(slot) == Some(node) {
            for &id in &away {
                // A replica that has taken over is told what was invalidated lately, and so are all others.
                let served = processes[1].is_hit(id).await || has_taken_over(&cluster.nodes[replica]);
                assert!(served, "{id} needs nothing of node {node}, {:?} after its end", killed.elapsed());
                spared += 1;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        cluster.until_owner_is_not(slot, node).await;
        let taken_over = killed.elapsed();
        processes[1].until_hits(0..30).await;
        let hits = killed.elapsed();
        for id in 0..30 {
            data.write(id);
            processes[0].until_invalidated(id).await;
        }
        processes[0].until_locked("lock").await;
        commands.until_answered().await;
        let all = killed.elapsed();
        assert!(taken_over < REPLACED, "{taken_over:?}");
        let healed = all.saturating_sub(taken_over);
        assert!(healed < TAKEN_UP, "{healed:?} after its slots were taken over");
        cluster.nodes[node].restart();
        cluster.until_healthy().await;
        let told = commands.stop().await;
        assert!(told[0].refused > 0 && told[0].answered > 0, "{told:?}");
        assert!(told[0].slowest_lock < COMMAND + SLACK, "{told:?}");
        assert!(told[1].late == 0 && told[1].answered > 100, "the other slots are served: {told:?}");
        let seen = readers.stop().await;
        assert!(seen.slowest < LOOK_UP * 2 + SLACK, "{seen:?}");
        for process in &processes {
            process.until_hits(0..30).await;
            assert_eq!(process.stale(0..30).await, [] as [usize; 0]);
        }
        eprintln!(
            "cluster, node {node} killed: slowest call {:?} of {}; taken over after {taken_over:?}, all hits after \
             {hits:?}, locks and invalidations after {all:?}",
            seen.slowest, seen.calls
        );
    }
    assert!(spared > 0, "no call was spared, so nothing was shown");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_replica_takes_over_on_request() {
    let cluster = Cluster::start(3, true).await;
    let data = Data::new();
    let processes = [Process::new(on(&cluster), &data), Process::new(on(&cluster), &data)];
    let commander = Process::new(on(&cluster).command_timeout(COMMAND), &data);
    processes[0].until_hits(0..30).await;
    let readers = Readers::start(&processes, 0..30);
    for node in 0..3 {
        let slot = u16::try_from(node * 16_384 / 3 + 1).expect("a slot");
        let target = Target::on(&cluster, |owner| owner == node);
        commander.until_answered(target.key()).await;
        let commands = Commands::start(&commander, [target]);
        let began = Instant::now();
        let ask = || cluster.nodes[node + 3].query(&["CLUSTER", "FAILOVER"]);
        ask().expect("it is a replica in step");
        let (mut asked_again, mut refused) = (Instant::now(), 0);
        let mut longest = Duration::ZERO;
        loop {
            for id in 0..30 {
                let version = data.write(id);
                let asked = Instant::now();
                match entry(&processes[0], id).invalidate().await {
                    Ok(()) => assert!(entry(&processes[1], id).await >= version, "old after an invalidation"),
                    Err(error) => {
                        assert!(error.is_retryable(), "{error}");
                        refused += 1;
                    }
                }
                longest = longest.max(asked.elapsed());
            }
            if cluster.owner(slot) == Some(node + 3) {
                break;
            }
            assert!(began.elapsed() < PATIENCE, "no failover");
            // The servers give up what has not come about within five seconds.
            if asked_again.elapsed() > Duration::from_secs(6) {
                // Refused if it has come about just now.
                let _refused = ask();
                asked_again = Instant::now();
            }
        }
        let taken_over = Instant::now();
        processes[0].until_locked("lock").await;
        for process in &processes {
            process.until_hits(0..30).await;
        }
        assert!(taken_over.elapsed() < TAKEN_UP, "{:?}", taken_over.elapsed());
        let _none_was_kept_waiting = commands.stop().await;
        eprintln!(
            "CLUSTER FAILOVER of node {node}: {refused} invalidations refused, the longest of them {longest:?}, all \
             well after {:?}",
            began.elapsed()
        );
    }
    let seen = readers.stop().await;
    assert!(seen.slowest < LOOK_UP * 2 + SLACK, "{seen:?}");
    for process in &processes {
        process.until_hits(0..30).await;
        assert_eq!(process.stale(0..30).await, [] as [usize; 0]);
    }
    eprintln!("slowest call {:?} of {}", seen.slowest, seen.calls);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_entry_and_its_own_stamp_lie_in_one_slot() {
    let cluster = Cluster::start(3, false).await;
    let process = Process::new(on(&cluster), &Data::new());
    for id in 0..20 {
        made(&process, id).await;
        let (key, stamp) = (format!("test:entry:{id}"), format!("{{test:entry:{id}}}#stamp"));
        assert_eq!(cluster.slot_of(&key), cluster.slot_of(&stamp));
        for key in [key, stamp] {
            let there = cluster.nodes[owner(&cluster, &key)].query(&["EXISTS", &key]);
            assert_eq!(there, Ok(redis::Value::Int(1)), "{key}");
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nodes_may_forget_scripts_at_any_time() {
    let cluster = Cluster::start(3, false).await;
    let data = Data::new();
    let process = Process::new(on(&cluster), &data);
    for round in 0..20 {
        for node in cluster.masters() {
            node.query(&["SCRIPT", "FLUSH"]).expect("it answers");
        }
        for id in 0..10 {
            let version = data.write(id);
            entry(&process, id).invalidate().await.unwrap_or_else(|error| panic!("round {round}: {error}"));
            assert_eq!(entry(&process, id).await, version);
            assert!(process.is_hit(id).await, "stored by a script");
        }
        process.cache.lock("lock").run(async |_lease| ()).await.expect("a lock is given back by a script");
    }
}
