//! Which connection of a pool has its turn: the same one as long as answers come over it, then the next. Those that are
//! lost are replaced, and have their turn again.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use keylatch::{Connection, Keylatch};
use redis::{AsyncCommands, RedisResult};
use tokio::task::JoinHandle;

use super::switchboard::{State, Switchboard};
use crate::support::{RedisServer, builder, until};

const POOL: usize = 3;
/// Longer than a connection over which nothing comes has its turn.
const HELD_UP: Duration = Duration::from_millis(20);
const LIMIT: Duration = Duration::from_secs(1);
/// How long anything may take that is only to happen at last.
const PATIENCE: Duration = Duration::from_secs(10);
/// Bytes by which a command is told from whatever else a connection carries: a greeting, and a question once a second.
const LARGE: usize = 4_000;

struct Caller {
    cache: Keylatch,
    redis: Connection,
    board: Switchboard,
    _server: RedisServer,
}

impl Caller {
    /// One whose connections are all there.
    async fn new() -> Self {
        let server = RedisServer::start();
        let board = Switchboard::to(server.port()).await;
        let builder = builder(&server).redis_url(board.url()).pool_size(POOL).command_timeout(LIMIT);
        let cache = builder.build().expect("good settings");
        let redis = cache.connection().expect("there is a server");
        let caller = Self { cache, redis, board, _server: server };
        caller.until_there_are(POOL).await;
        caller
    }

    async fn until_there_are(&self, connections: usize) {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let there = self.cache.health().await.servers[0].connections;
            if there == connections {
                return;
            }
            assert!(Instant::now() < deadline, "{there} connections and not {connections}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Sends a large command.
    fn send(&self) -> JoinHandle<RedisResult<Option<u64>>> {
        let mut redis = self.redis.clone();
        tokio::spawn(async move { redis.get("k".repeat(LARGE)).await })
    }

    async fn read(&self) {
        assert_eq!(self.send().await.expect("it does not panic"), Ok(None));
    }

    /// The connection that a large command goes over, which is answered.
    async fn next(&self) -> usize {
        let before = self.board.sent();
        self.read().await;
        let used = self.used_since(&before);
        let [only] = used[..] else { panic!("one command went over {used:?}") };
        only
    }

    /// The connections that have carried a large command since.
    fn used_since(&self, before: &[usize]) -> Vec<usize> {
        let sent = self.board.sent();
        let carried = |&index: &usize| sent[index] >= before.get(index).unwrap_or(&0) + LARGE;
        (0..sent.len()).filter(carried).collect()
    }

    /// Holds the connection that has its turn; the command that waits there. Others go over another one.
    async fn hold(&self, index: usize) -> JoinHandle<RedisResult<Option<u64>>> {
        self.board.set(index, State::Held);
        let before = self.board.sent();
        let waiting = self.send();
        until("it is on its way", || self.board.sent()[index] > before[index]).await;
        tokio::time::sleep(HELD_UP).await;
        waiting
    }

    /// Holds up whichever has its turn, until so many have had theirs: which those are, and how often one was held up.
    async fn until_all_had_their_turn(&self) -> (HashSet<usize>, usize) {
        let (mut used, mut times, began) = (HashSet::new(), 0, Instant::now());
        let mut current = self.next().await;
        loop {
            used.insert(current);
            if used.len() == POOL {
                return (used, times);
            }
            assert!(began.elapsed() < PATIENCE, "only {used:?} are used");
            let waiting = self.hold(current).await;
            let next = self.next().await;
            assert_ne!(next, current, "nothing comes over that one");
            self.board.set(current, State::Passes);
            assert_eq!(waiting.await.expect("it does not panic"), Ok(None), "it was only late");
            (current, times) = (next, times + 1);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_has_its_turn_until_it_is_held_up() {
    let caller = Caller::new().await;
    let first = caller.next().await;
    for _ in 0..20 {
        assert_eq!(caller.next().await, first, "nothing holds it up");
    }
    let (used, times) = caller.until_all_had_their_turn().await;
    assert_eq!((used, times), (HashSet::from([0, 1, 2]), POOL - 1), "one after the other");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_falls_silent_is_left_and_replaced() {
    let caller = Caller::new().await;
    let silent = caller.next().await;
    let lost = caller.hold(silent).await;
    for _ in 0..50 {
        let began = Instant::now();
        assert_ne!(caller.next().await, silent);
        assert!(began.elapsed() < LIMIT / 2, "{:?}", began.elapsed());
    }
    let lost = lost.await.expect("it does not panic");
    assert!(lost.as_ref().is_err_and(redis::RedisError::is_timeout), "{lost:?}");
    // It is asked whether it is dead, and does not answer.
    caller.until_there_are(POOL - 1).await;
    let (used, _) = caller.until_all_had_their_turn().await;
    assert!(!used.contains(&silent), "{used:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_cut_is_replaced_and_no_reader_notices() {
    let caller = Caller::new().await;
    let cut = caller.next().await;
    caller.board.set(cut, State::Cut);
    let began = Instant::now();
    while caller.board.sent().len() == POOL {
        caller.read().await;
        assert!(began.elapsed() < PATIENCE, "it is not replaced");
    }
    caller.until_there_are(POOL).await;
    let (used, _) = caller.until_all_had_their_turn().await;
    assert!(!used.contains(&cut), "{used:?}");
}
