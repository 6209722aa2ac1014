//! Sentinel: the primary dies, is replaced while it is well, loses its watchers; and the name may be wrong.

use std::time::{Duration, Instant};

use keylatch::{ErrorKind, Keylatch};

use super::commands::{Commands, Target};
use super::{COMMAND, Data, LOOK_UP, PATIENCE, Process, REPLACED, Readers, SLACK, TAKEN_UP, entry};
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::until;

pub(super) fn on(servers: &Sentinels) -> keylatch::Builder {
    Keylatch::builder().sentinel(servers.urls(), MASTER)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_primary_is_killed_and_comes_back_as_a_replica() {
    let mut servers = Sentinels::start(2).await;
    let (data, old) = (Data::new(), servers.servers[0].port());
    // The second keeps nothing in its memory during an outage, so its hits are the server's.
    let without_refuge = Process::new(on(&servers).outage_memory_limit(0), &data);
    let processes = [Process::new(on(&servers), &data), without_refuge];
    processes[0].until_hits(0..20).await;
    let target = Target::anywhere();
    let commander = Process::new(on(&servers).command_timeout(COMMAND), &data);
    commander.until_answered(target.key()).await;
    let readers = Readers::start(&processes, 0..20);
    let commands = Commands::start(&commander, [target]);
    commands.until_answered().await;
    servers.servers[0].kill();
    let killed = Instant::now();
    let refuge = processes[0].until_hits(0..20).await;
    assert!(refuge < LOOK_UP + SLACK, "what was computed meanwhile answers: {refuge:?}");
    let replacing = async {
        servers.until_primary_is_not(old).await;
        killed.elapsed()
    };
    let serving = async {
        processes[1].until_hits(0..20).await;
        let hits = killed.elapsed();
        data.write(0);
        processes[0].until_invalidated(0).await;
        processes[0].until_locked("lock").await;
        commands.until_answered().await;
        (hits, killed.elapsed())
    };
    let (replaced, (hits, all)) = tokio::join!(replacing, Box::pin(serving));
    for told in commands.stop().await {
        assert!(told.answered > 0 && told.refused > 0, "{told:?}");
        assert!(told.slowest_lock < COMMAND + SLACK, "{told:?}");
    }
    assert!(replaced < REPLACED, "{replaced:?}");
    let healed = all.saturating_sub(replaced);
    assert!(healed < TAKEN_UP, "{healed:?} after the promotion");
    // What is stored from now on is on the promoted server only.
    data.write(1);
    processes[0].until_invalidated(1).await;
    servers.servers[0].restart();
    let returned = Instant::now();
    until_it_is_a_replica(&servers).await;
    let demoted = returned.elapsed();
    let seen = readers.stop().await;
    assert!(seen.slowest < LOOK_UP + SLACK, "{seen:?}");
    // An instance that knows nothing yet is told of the new primary, too.
    let late = Process::new(on(&servers), &data);
    for process in processes.iter().chain([&late]) {
        process.until_hits(0..20).await;
        assert_eq!(process.stale(0..20).await, [] as [usize; 0]);
    }
    eprintln!(
        "sentinel, primary killed: slowest call {:?} of {}; hits in the refuge after {refuge:?}; promoted after \
         {replaced:?}, hits there after {hits:?}, locks and invalidations after {all:?}; the old one is a replica \
         {demoted:?} after its return",
        seen.slowest, seen.calls
    );
}

async fn until_it_is_a_replica(servers: &Sentinels) {
    let deadline = Instant::now() + PATIENCE;
    while servers.servers[0].info("role").as_deref() != Some("slave") {
        assert!(Instant::now() < deadline, "the old primary is not put right");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_primary_is_chosen_while_the_old_one_is_well() {
    let servers = Sentinels::start(1).await;
    let (data, old) = (Data::new(), servers.servers[0].port());
    let processes = [Process::new(on(&servers), &data), Process::new(on(&servers), &data)];
    processes[0].until_hits(0..20).await;
    let target = Target::anywhere();
    let commander = Process::new(on(&servers).command_timeout(COMMAND), &data);
    commander.until_answered(target.key()).await;
    let readers = Readers::start(&processes, 0..20);
    let commands = Commands::start(&commander, [target]);
    let began = Instant::now();
    servers.fail_over();
    servers.until_primary_is_not(old).await;
    let promoted = began.elapsed();
    data.write(0);
    processes[0].until_invalidated(0).await;
    processes[0].until_locked("lock").await;
    let written = began.elapsed();
    processes[1].until_hits(0..20).await;
    let healed = began.elapsed().saturating_sub(promoted);
    let _none_was_kept_waiting = commands.stop().await;
    let seen = readers.stop().await;
    assert!(seen.slowest < LOOK_UP + SLACK, "{seen:?}");
    assert!(promoted < REPLACED && healed < TAKEN_UP, "{promoted:?}, {healed:?}");
    for process in &processes {
        process.until_hits(0..20).await;
        process.until_none_is_stale(0..20).await;
    }
    eprintln!(
        "SENTINEL FAILOVER: promoted after {promoted:?}, written to after {written:?}, slowest call {:?}",
        seen.slowest
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_sentinels_the_primary_that_is_known_serves_on() {
    let mut servers = Sentinels::start(1).await;
    let data = Data::new();
    let process = Process::new(on(&servers), &data);
    process.until_hits(0..5).await;
    servers.kill_sentinels();
    let killed = Instant::now();
    // For longer than the interval at which they are asked.
    while killed.elapsed() < Duration::from_millis(2_500) {
        let began = Instant::now();
        assert!(process.is_hit(0).await, "after {:?}", killed.elapsed());
        assert!(began.elapsed() < LOOK_UP, "{:?}", began.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // Also over new connections to it.
    servers.servers[0].command("CLIENT KILL TYPE normal SKIPME yes").expect("the server answers");
    data.write(0);
    process.until_invalidated(0).await;
    process.until_locked("lock").await;
    process.until_hits(0..5).await;
    assert_eq!(process.stale(0..5).await, [] as [usize; 0]);
    // A process that never knew the primary is told what is wrong, and answers from its bodies.
    let late = Process::new(on(&servers), &data);
    let began = Instant::now();
    assert_eq!(entry(&late, 0).await, data.at(0));
    assert!(began.elapsed() < LOOK_UP + SLACK, "{:?}", began.elapsed());
    let error = late.cache.invalidate("unrelated").await.expect_err("nobody names a primary");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_name_is_told_as_such() {
    let servers = Sentinels::start(1).await;
    let builder = Keylatch::builder().sentinel(servers.urls(), "somebody-else");
    let process = Process::new(builder, &Data::new());
    assert_eq!(entry(&process, 0).await, 1, "the body answers");
    let error = process.cache.invalidate("unrelated").await.expect_err("nobody knows that name");
    assert_eq!(error.kind(), ErrorKind::Configuration, "{error}");
    let text = error.to_string();
    assert!(text.contains("somebody-else") && text.contains("REDIS_SENTINEL_MASTER"), "{text}");
    let health = process.cache.health().await;
    assert!(health.warnings.iter().any(|warning| warning.contains("somebody-else")), "{health:?}");
}

/// A primary that is demoted while its connections stay: it refuses writes, and what it serves is old.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_primary_that_is_demoted_on_open_connections_is_left() {
    let mut servers = Sentinels::start(1).await;
    let data = Data::new();
    let process = Process::new(on(&servers), &data);
    process.until_hits(0..5).await;
    // By hand, as an operator would; the sentinels would put it right.
    servers.kill_sentinels();
    let [old, new] = &servers.servers[..] else { panic!("two servers") };
    new.query(&["REPLICAOF", "NO", "ONE"]).expect("it answers");
    old.query(&["REPLICAOF", "127.0.0.1", &new.port().to_string()]).expect("it answers");
    until("the old one follows the new", || old.info("master_link_status").as_deref() == Some("up")).await;
    let began = Instant::now();
    data.write(0);
    let error = entry_invalidated(&process).await.expect_err("it takes no writes");
    assert!(error.is_retryable(), "{error}");
    assert_eq!(entry(&process, 0).await, data.at(0), "what could not be invalidated there is not read there");
    assert!(began.elapsed() < LOOK_UP * 2 + SLACK, "{:?}", began.elapsed());
    // Promoted again, it serves again.
    old.query(&["REPLICAOF", "NO", "ONE"]).expect("it answers");
    let healed = process.until_hits(0..5).await;
    assert!(healed < TAKEN_UP, "{healed:?}");
    assert_eq!(process.stale(0..5).await, [] as [usize; 0]);
    eprintln!("demoted on open connections: bodies answer; hits {healed:?} after it is a primary again");
}

async fn entry_invalidated(process: &Process) -> keylatch::Result<()> {
    use keylatch::CachedCall;
    entry(process, 0).invalidate().await
}
