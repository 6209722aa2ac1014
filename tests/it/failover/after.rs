//! A server takes over that lacks the last invalidations: a replica that replication had left behind, or the same server,
//! started from an older snapshot. Each way of `after_failover`, and that without any of them old entries are seen.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keylatch::{AfterFailover, Builder, CachedCall, Keylatch, Pattern};

use super::{Data, LOOK_UP, NOTICED, Process, Readers, entry, made};
use crate::support::proxy::Mode;
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::{RedisServer, builder};

const IDS: std::ops::Range<usize> = 0..8;
/// How long another process may see what the writer's invalidations have not reached yet.
const SOON: Duration = Duration::from_millis(1_500);
/// For how long they are watched.
const WATCHED: Duration = Duration::from_secs(3);

/// How invalidations are lost.
enum Loss {
    /// A replica is promoted that has not received them.
    Promotion(Sentinels),
    /// The server is started again from a snapshot from before them.
    Snapshot(RedisServer),
}

impl Loss {
    async fn of_a_promotion() -> Self {
        Self::Promotion(Sentinels::start_held_back(1).await)
    }

    fn of_a_snapshot() -> Self {
        Self::Snapshot(RedisServer::start())
    }

    fn builder(&self) -> Builder {
        match self {
            Self::Promotion(servers) => Keylatch::builder().sentinel(servers.urls(), MASTER),
            Self::Snapshot(server) => builder(server),
        }
    }

    /// What is done on the server from now on will be lost.
    fn begin(&self) {
        match self {
            Self::Promotion(servers) => {
                let in_step = servers.servers[0].query(&["WAIT", "1", "5000"]);
                assert_eq!(in_step, Ok(keylatch::redis::Value::Int(1)), "the replica has what came before");
                servers.links[0].set(Mode::Hold);
            }
            Self::Snapshot(server) => {
                server.query(&["SAVE"]).expect("it answers");
                std::fs::copy(snapshot(server), older(server)).expect("the directory is ours");
            }
        }
    }

    /// The server that has everything goes, and the one that lacks the invalidations takes its place.
    async fn strike(&mut self) {
        match self {
            Self::Promotion(servers) => {
                let old = servers.servers[0].port();
                servers.servers[0].kill();
                servers.until_primary_is_not(old).await;
            }
            Self::Snapshot(server) => {
                server.query(&["SAVE"]).expect("it answers");
                server.kill();
                std::fs::rename(older(server), snapshot(server)).expect("the directory is ours");
                server.restart();
            }
        }
    }
}

fn snapshot(server: &RedisServer) -> std::path::PathBuf {
    server.directory().join("dump.rdb")
}

fn older(server: &RedisServer) -> std::path::PathBuf {
    server.directory().join("older.rdb")
}

/// What two processes saw after the loss.
#[derive(Debug)]
struct Outcome {
    /// Old answers that the process got that had invalidated them, and the other one.
    writer: u32,
    other: u32,
    /// For how long the other one got any.
    other_for: Duration,
}

/// One process invalidates, and the invalidations are lost; then both read all the time, or the other one alone.
async fn lose(mut loss: Loss, mode: AfterFailover, writer_goes: bool) -> Outcome {
    let data = Data::new();
    let process = || Process::new(loss.builder().after_failover(mode), &data);
    let (writer, other) = (process(), process());
    for process in [&writer, &other] {
        process.until_hits(IDS).await;
        for id in IDS {
            made(process, id).await;
        }
    }
    loss.begin();
    for id in IDS {
        data.write(id);
        entry(&writer, id).invalidate().await.expect("it is acknowledged");
    }
    let processes =
        if writer_goes { vec![Arc::clone(&other)] } else { vec![Arc::clone(&writer), Arc::clone(&other)] };
    drop(writer);
    let readers: Vec<_> =
        processes.iter().map(|process| Readers::start(std::slice::from_ref(process), IDS)).collect();
    loss.strike().await;
    let struck = Instant::now();
    for process in &processes {
        // Under `trust` these are the old entries.
        process.until_hits(IDS).await;
    }
    tokio::time::sleep_until((struck + WATCHED).into()).await;
    let mut seen = Vec::new();
    for readers in readers {
        seen.push(readers.stop().await);
    }
    let other_seen = seen.pop().expect("the other process reads");
    let writer_seen = seen.pop().unwrap_or_default();
    if mode != AfterFailover::Trust {
        for process in &processes {
            assert_eq!(process.stale(IDS).await, [] as [usize; 0], "{mode:?}");
        }
    }
    let other_for = other_seen.last_old.map_or(Duration::ZERO, |last| last.saturating_duration_since(struck));
    let outcome = Outcome { writer: writer_seen.old, other: other_seen.old, other_for };
    eprintln!("{mode:?}: {outcome:?}; calls {} and {}", writer_seen.calls, other_seen.calls);
    outcome
}

/// What the writer has invalidated it never sees again; another process no longer than until the writer has repeated it.
async fn replayed(loss: Loss) {
    let outcome = lose(loss, AfterFailover::Replay, false).await;
    assert_eq!(outcome.writer, 0, "{outcome:?}");
    assert!(outcome.other_for < SOON, "{outcome:?}");
}

/// Nobody sees anything old, whether or not the process lives that has invalidated it.
async fn distrusted(loss: Loss, writer_goes: bool) {
    let outcome = lose(loss, AfterFailover::Distrust, writer_goes).await;
    assert_eq!((outcome.writer, outcome.other), (0, 0), "{outcome:?}");
}

/// Everybody sees old entries, so that the others show something.
async fn trusted(loss: Loss) {
    let outcome = lose(loss, AfterFailover::Trust, false).await;
    assert!(outcome.writer > 0 && outcome.other > 0, "nothing was lost: {outcome:?}");
}

/// A process that only invalidates repeats what it has invalidated, too: others read.
async fn repeated_by_a_writer_that_is_idle(mut loss: Loss) {
    let data = Data::new();
    let (writer, other) = (Process::new(loss.builder(), &data), Process::new(loss.builder(), &data));
    other.until_hits(IDS).await;
    loss.begin();
    for id in IDS {
        data.write(id);
        entry(&writer, id).invalidate().await.expect("it is acknowledged");
    }
    let readers = Readers::start(std::slice::from_ref(&other), IDS);
    loss.strike().await;
    let struck = Instant::now();
    // The idle process looks once a second whether the server is another one.
    tokio::time::sleep_until((struck + WATCHED + SOON).into()).await;
    let seen = readers.stop().await;
    assert_eq!(other.stale(IDS).await, [] as [usize; 0]);
    let old_for = seen.last_old.map_or(Duration::ZERO, |last| last.saturating_duration_since(struck));
    eprintln!(
        "an idle writer: {} old answers of {}, the last {old_for:?} after the loss",
        seen.old, seen.calls
    );
    assert!(old_for < NOTICED, "{old_for:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_idle_repeats_to_a_promoted_server() {
    repeated_by_a_writer_that_is_idle(Loss::of_a_promotion().await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_that_is_idle_repeats_to_a_restarted_server() {
    repeated_by_a_writer_that_is_idle(Loss::of_a_snapshot()).await;
}

/// What was invalidated longer ago than is remembered is lost with the server, and nothing else is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invalidations_are_repeated_for_as_long_as_is_said() {
    const REMEMBERED: Duration = Duration::from_millis(300);
    let mut loss = Loss::of_a_snapshot();
    let data = Data::new();
    let process = Process::new(loss.builder().failover_replay(REMEMBERED), &data);
    process.until_hits(0..2).await;
    loss.begin();
    data.write(0);
    entry(&process, 0).invalidate().await.expect("it is acknowledged");
    tokio::time::sleep(2 * REMEMBERED).await;
    data.write(1);
    entry(&process, 1).invalidate().await.expect("it is acknowledged");
    loss.strike().await;
    process.until_hits(0..2).await;
    assert_eq!(process.stale(0..2).await, [0]);
}

/// Each pattern takes a scan of all keys, and all of them together many times the limit of a look-up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_read_again_however_long_the_repetition_takes() {
    const FILL: &str = "for n = 1, 100000 do redis.call('SET', 'filler:' .. n, '') end";
    let loss = RedisServer::start();
    loss.query(&["EVAL", FILL, "0"]).expect("it answers");
    let mut loss = Loss::Snapshot(loss);
    let data = Data::new();
    let process = Process::new(loss.builder(), &data);
    process.until_hits(IDS).await;
    loss.begin();
    let began = Instant::now();
    for round in 0..25 {
        data.write(IDS.start);
        let pattern = Pattern::of("entry").part(&(IDS.start + round % IDS.len()));
        process.cache.invalidate_matching(&pattern).await.expect("it is acknowledged");
    }
    let took = began.elapsed();
    assert!(took > LOOK_UP * 2, "{took:?} is not long");
    loss.strike().await;
    let hits = process.until_hits(IDS).await;
    assert_eq!(process.stale(IDS).await, [] as [usize; 0]);
    eprintln!("invalidations of {took:?} are repeated, and there are hits again after {hits:?}");
}

macro_rules! after {
    ($($name:ident: $loss:expr),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn replay() {
                replayed($loss).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn distrust() {
                distrusted($loss, false).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn distrust_without_the_writer() {
                distrusted($loss, true).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn trust() {
                trusted($loss).await;
            }
        })*
    };
}

after! {
    promotion: Loss::of_a_promotion().await,
    snapshot: Loss::of_a_snapshot(),
}
