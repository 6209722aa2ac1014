//! Callers that send commands of every kind, one after the other and whatever happens, and remember how long each took.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use keylatch::CachedCall;
use keylatch::redis::{AsyncCommands, RedisResult};
use tokio::task::JoinHandle;

use super::cluster::owner;
use super::{COMMAND, PATIENCE, Process, SLACK, entry};
use crate::support::cluster::Cluster;

/// What one caller's commands concern: a key, an entry, a lock.
#[derive(Debug, Clone)]
pub(super) struct Target {
    key: String,
    id: usize,
    lock: String,
}

impl Target {
    /// Numbers that nobody else uses.
    const NUMBERS: std::ops::Range<usize> = 500..1_000;

    /// Wherever that may be.
    pub(super) fn anywhere() -> Self {
        let id = Self::NUMBERS.start;
        Self { key: "plain".to_owned(), id, lock: "commands".to_owned() }
    }

    /// All of it on one of the nodes for which that holds.
    pub(super) fn on(cluster: &Cluster, is_meant: impl Fn(usize) -> bool) -> Self {
        let number = |key: &dyn Fn(usize) -> String| {
            let mut numbers = Self::NUMBERS;
            let found = numbers.find(|&number| is_meant(owner(cluster, &key(number))));
            found.expect("every node owns many slots")
        };
        let plain = |number: usize| format!("plain{number}");
        let lock = |number: usize| format!("commands{number}");
        Self {
            key: plain(number(&plain)),
            id: number(&|id: usize| format!("test:entry:{id}")),
            lock: lock(number(&|number: usize| format!("test#lock:{}", lock(number)))),
        }
    }

    pub(super) fn key(&self) -> &str {
        &self.key
    }
}

/// See the module.
pub(super) struct Commands {
    stop: Arc<AtomicBool>,
    callers: Vec<JoinHandle<Told>>,
    /// How many rounds of each caller were answered wholly.
    answered: Vec<Arc<AtomicU32>>,
}

/// What one caller was told.
#[derive(Debug, Default)]
pub(super) struct Told {
    pub(super) answered: u32,
    pub(super) refused: u32,
    /// The slowest single command.
    slowest: Duration,
    /// The slowest lock. It is taken by one command, by another where nobody knows what came of that, and given back by a
    /// third.
    pub(super) slowest_lock: Duration,
    /// Calls that took half of a command's limit or longer.
    pub(super) late: u32,
}

impl Commands {
    /// One caller for each target, in a process whose commands have [`COMMAND`] as their limit.
    pub(super) fn start(process: &Arc<Process>, targets: impl IntoIterator<Item = Target>) -> Self {
        let mut commands = Self { stop: Arc::default(), callers: Vec::new(), answered: Vec::new() };
        for target in targets {
            let answered = Arc::<AtomicU32>::default();
            let call = call(Arc::clone(process), target, Arc::clone(&commands.stop), Arc::clone(&answered));
            commands.callers.push(tokio::spawn(call));
            commands.answered.push(answered);
        }
        commands
    }

    /// Waits until everything that they send is answered, from now on.
    pub(super) async fn until_answered(&self) {
        let before: Vec<u32> = self.answered.iter().map(|rounds| rounds.load(Ordering::SeqCst)).collect();
        let deadline = Instant::now() + PATIENCE;
        // One round may have begun before.
        while self.answered.iter().zip(&before).any(|(now, before)| now.load(Ordering::SeqCst) < before + 2) {
            assert!(Instant::now() < deadline, "some are answered no more");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// What each was told, in the order of the targets. No command kept anybody waiting for longer than it may.
    pub(super) async fn stop(self) -> Vec<Told> {
        self.stop.store(true, Ordering::SeqCst);
        let mut all = Vec::new();
        for caller in self.callers {
            let ended = tokio::time::timeout(PATIENCE, caller).await.expect("every command ends");
            let told = ended.expect("no caller panics");
            assert!(told.slowest < COMMAND + SLACK, "{told:?}");
            all.push(told);
        }
        all
    }
}

impl Told {
    fn command(&mut self, took: Duration, is_answered: bool) {
        self.slowest = self.slowest.max(took);
        self.call(took, is_answered);
    }

    fn lock(&mut self, took: Duration, is_answered: bool) {
        self.slowest_lock = self.slowest_lock.max(took);
        self.call(took, is_answered);
    }

    fn call(&mut self, took: Duration, is_answered: bool) {
        self.answered += u32::from(is_answered);
        self.refused += u32::from(!is_answered);
        self.late += u32::from(took >= COMMAND / 2);
    }
}

async fn call(
    process: Arc<Process>,
    target: Target,
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicU32>,
) -> Told {
    let mut told = Told::default();
    let mut redis = process.cache.connection().expect("there are servers");
    while !stop.load(Ordering::SeqCst) {
        let began = Instant::now();
        let set: RedisResult<()> = redis.set(target.key(), 1).await;
        told.command(began.elapsed(), set.is_ok());

        let began = Instant::now();
        let got: RedisResult<Option<u64>> = redis.get(target.key()).await;
        told.command(began.elapsed(), got.is_ok());

        let began = Instant::now();
        let invalidated = entry(&process, target.id).invalidate().await;
        told.command(began.elapsed(), invalidated.is_ok());

        let began = Instant::now();
        let lock = process.cache.lock(&*target.lock).wait(Duration::ZERO);
        let locked = lock.run(async |_lease| ()).await;
        told.lock(began.elapsed(), locked.is_ok());
        if set.is_ok() && got.is_ok() && invalidated.is_ok() && locked.is_ok() {
            answered.fetch_add(1, Ordering::SeqCst);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    told
}
