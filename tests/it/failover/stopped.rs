//! A server that is stopped while others go on: a master of a cluster, whether or not it is replaced, and the primary
//! under Sentinel. It accepts and never answers, which costs a caller one time-out, once; what others own is served.

use std::time::{Duration, Instant};

use super::cluster::on;
use super::commands::{Commands, Target, Told};
use super::{COMMAND, Data, LOOK_UP, Process, REPLACED, Readers, SLACK, TAKEN_UP, sentinel};
use crate::support::cluster::Cluster;
use crate::support::sentinel::Sentinels;

/// The node that is stopped. The first one is asked who owns what.
const STOPPED: usize = 1;
/// Until it answers again, where nobody takes over: its breaker's probe is on its way all the time.
const SOON: Duration = Duration::from_secs(1);

/// By default, all nodes of a cluster refuse while one is missing.
fn go_on_without_each_other(cluster: &Cluster, node_timeout: &str) {
    for node in &cluster.nodes {
        node.query(&["CONFIG", "SET", "cluster-require-full-coverage", "no"]).expect("it answers");
        node.query(&["CONFIG", "SET", "cluster-node-timeout", node_timeout]).expect("it answers");
    }
}

/// The first command that met the fault was waited for in vain, and then nobody waited.
fn assert_one_was_late(told: &Told) {
    assert!(told.late == 1 && told.slowest_lock < COMMAND + SLACK, "{told:?}");
    assert!(told.answered > 0 && told.refused > 0, "{told:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_that_nobody_replaces() {
    /// Longer than one command, one probe over a connection that there is, and the beginning of a dial.
    const FOR: Duration = Duration::from_millis(2_500);
    let cluster = Cluster::start(3, false).await;
    // Nobody misses it for as long as it is stopped.
    go_on_without_each_other(&cluster, "30000");
    let process = Process::new(on(&cluster).command_timeout(COMMAND), &Data::new());
    let its = Target::on(&cluster, |owner| owner == STOPPED);
    let of_others = Target::on(&cluster, |owner| owner != STOPPED);
    for target in [&its, &of_others] {
        process.until_answered(target.key()).await;
    }
    let commands = Commands::start(&process, [its.clone(), of_others]);
    commands.until_answered().await;
    cluster.nodes[STOPPED].signal("STOP");
    tokio::time::sleep(FOR).await;
    cluster.nodes[STOPPED].signal("CONT");
    let healed = process.until_answered(its.key()).await;
    let told = commands.stop().await;
    eprintln!("cluster, a master stopped: healed after {healed:?}; {told:?}");
    assert!(healed < SOON, "{healed:?}");
    let [its, of_others] = &told[..] else { panic!("two callers") };
    assert_one_was_late(its);
    assert!(its.refused > 100, "it was asked on and on: {its:?}");
    assert!(of_others.refused == 0 && of_others.late == 0, "the other slots are served: {of_others:?}");
    assert!(of_others.answered > 100, "{of_others:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_master_of_a_cluster_that_is_replaced() {
    let cluster = Cluster::start(3, true).await;
    go_on_without_each_other(&cluster, "1500");
    let data = Data::new();
    let process = Process::new(on(&cluster).command_timeout(COMMAND), &data);
    let reader = Process::new(on(&cluster), &data);
    let its = Target::on(&cluster, |owner| owner == STOPPED);
    let of_others = Target::on(&cluster, |owner| owner != STOPPED);
    for target in [&its, &of_others] {
        process.until_answered(target.key()).await;
    }
    reader.until_hits(0..20).await;
    let slot = cluster.slot_of(its.key());
    let commands = Commands::start(&process, [its.clone(), of_others]);
    let readers = Readers::start(std::slice::from_ref(&reader), 0..20);
    commands.until_answered().await;
    cluster.nodes[STOPPED].signal("STOP");
    let stopped = Instant::now();
    cluster.until_owner_is_not(slot, STOPPED).await;
    let replaced = stopped.elapsed();
    commands.until_answered().await;
    data.write(0);
    process.until_invalidated(0).await;
    reader.until_hits(0..20).await;
    let healed = stopped.elapsed().saturating_sub(replaced);
    cluster.nodes[STOPPED].signal("CONT");
    cluster.until_healthy().await;
    let (seen, told) = (readers.stop().await, commands.stop().await);
    eprintln!(
        "cluster, a master stopped: replaced after {replaced:?}, healed {healed:?} later; {told:?}; {seen:?}"
    );
    assert!(replaced < REPLACED && healed < TAKEN_UP, "{replaced:?}, {healed:?}");
    assert!(seen.slowest < LOOK_UP * 2 + SLACK, "{seen:?}");
    let [its, of_others] = &told[..] else { panic!("two callers") };
    assert_one_was_late(its);
    assert!(of_others.late == 0 && of_others.answered > 100, "the other slots are served: {of_others:?}");
    for process in [&process, &reader] {
        process.until_hits(0..20).await;
        process.until_none_is_stale(0..20).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_under_sentinel() {
    let servers = Sentinels::start(1).await;
    let (data, old) = (Data::new(), servers.servers[0].port());
    let process = Process::new(sentinel::on(&servers).command_timeout(COMMAND), &data);
    let reader = Process::new(sentinel::on(&servers), &data);
    let target = Target::anywhere();
    process.until_answered(target.key()).await;
    reader.until_hits(0..20).await;
    let commands = Commands::start(&process, [target.clone()]);
    let readers = Readers::start(std::slice::from_ref(&reader), 0..20);
    commands.until_answered().await;
    servers.servers[0].signal("STOP");
    let stopped = Instant::now();
    servers.until_primary_is_not(old).await;
    let replaced = stopped.elapsed();
    commands.until_answered().await;
    data.write(0);
    process.until_invalidated(0).await;
    process.until_locked("lock").await;
    let healed = stopped.elapsed().saturating_sub(replaced);
    let (seen, told) = (readers.stop().await, commands.stop().await);
    servers.servers[0].signal("CONT");
    eprintln!(
        "sentinel, primary stopped: replaced after {replaced:?}, healed {healed:?} later; {told:?}; {seen:?}"
    );
    assert!(replaced < REPLACED && healed < TAKEN_UP, "{replaced:?}, {healed:?}");
    // One call of each reader. Some calls are two, one in the body of the other: both look-ups wait in vain where what the first
    // was sent behind was still answered, for then its silence alone does not tell that the server is gone.
    assert!(seen.slow <= 2 && seen.slowest < LOOK_UP * 2 + SLACK, "{seen:?}");
    assert_one_was_late(&told[0]);
    // What it has when it goes on is not read any more.
    for process in [&process, &reader] {
        process.until_hits(0..20).await;
        process.until_none_is_stale(0..20).await;
    }
}
