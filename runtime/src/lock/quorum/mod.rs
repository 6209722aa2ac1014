//! Locks over N independent masters: held when a majority says so in time (Redlock, with what its critics and its
//! implementations have taught since; `ARCHITECTURE.md` has the algorithm, its assumptions and its hazards).
//!
//! The way of a lock: [`ballot`] asks all masters at once and counts; [`node`] says whether a vote counts; [`admission`] lets
//! masters vote that have forgotten something; [`contention`] says when to try again. [`master`] is what is asked of one
//! master, [`redis`] the real ones.

mod admission;
mod ballot;
mod contention;
mod limit;
mod locks;
mod master;
mod node;
mod redis;
#[cfg(test)]
mod sim;
mod ticker;
mod validity;
mod votes;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use master::Master;
use node::Node;
use ticker::Ticker;

pub(crate) use locks::QuorumLocks;
pub use votes::{MasterVote, NoVote};
pub(crate) use votes::{NoQuorum, fmt_votes};

/// The masters of one namespace.
#[derive(Debug)]
pub(crate) struct Quorum<M> {
    nodes: Vec<Arc<Node<M>>>,
    memory: tokio::sync::Mutex<admission::Memory>,
    /// How often masters were admitted so far.
    admissions: AtomicU64,
    /// Whether some master was seen that does not vote for lack of memory.
    has_resting: AtomicBool,
    ticker: Arc<Ticker>,
    rules: QuorumRules,
}

/// The safety rules of quorums. Broken on purpose by tests, which must then find something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct QuorumRules {
    pub(crate) tokens: Tokens,
    /// A majority that took too long is none.
    pub(crate) check_elapsed: bool,
    /// A master that was restarted does not vote until no lock can be left that it has forgotten.
    pub(crate) rest_after_restart: bool,
    /// Nothing is prolonged or set again once the old deadline has passed.
    pub(crate) repair_in_time_only: bool,
}

/// What a fencing token is made from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tokens {
    /// The highest counter of a majority, to which the others are raised.
    Raised,
    /// Wrong: two majorities may meet in a master that had less.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests show that it is wrong"))]
    Highest,
    /// Wrong for the same reason.
    #[cfg_attr(not(test), expect(dead_code, reason = "tests show that it is wrong"))]
    HighestAndOne,
}

impl Default for QuorumRules {
    fn default() -> Self {
        Self {
            tokens: Tokens::Raised,
            check_elapsed: true,
            rest_after_restart: true,
            repair_in_time_only: true,
        }
    }
}

impl<M: Master> Quorum<M> {
    pub(crate) fn new(masters: impl IntoIterator<Item = M>, rules: QuorumRules) -> Arc<Self> {
        Arc::new(Self {
            nodes: masters.into_iter().map(|master| Arc::new(Node::new(master))).collect(),
            memory: tokio::sync::Mutex::new(admission::Memory::new(!rules.rest_after_restart)),
            admissions: AtomicU64::new(0),
            has_resting: AtomicBool::new(false),
            ticker: Arc::default(),
            rules,
        })
    }

    pub(crate) fn nodes(&self) -> &[Arc<Node<M>>] {
        &self.nodes
    }

    /// How many votes are a majority.
    pub(crate) fn needed(&self) -> usize {
        self.nodes.len() / 2 + 1
    }

    pub(crate) fn rules(&self) -> QuorumRules {
        self.rules
    }

    /// The round trip within which a majority answers.
    pub(crate) fn round_trip(&self) -> Duration {
        let mut all: Vec<Duration> =
            self.nodes.iter().filter_map(|node| node.round_trip.smoothed()).collect();
        all.sort_unstable();
        all.get(self.needed() - 1).or(all.last()).copied().unwrap_or(Duration::from_millis(1))
    }

    /// Whether some master waits to be admitted, as far as is known.
    pub(crate) fn has_resting(&self) -> bool {
        self.has_resting.load(Ordering::Relaxed)
    }

    fn set_resting(&self, has_resting: bool) {
        self.has_resting.store(has_resting, Ordering::Relaxed);
    }

    fn ticker(&self) -> &Arc<Ticker> {
        &self.ticker
    }

    fn memory(&self) -> &tokio::sync::Mutex<admission::Memory> {
        &self.memory
    }

    fn admissions(&self) -> u64 {
        self.admissions.load(Ordering::Acquire)
    }

    fn admitted(&self) {
        self.admissions.fetch_add(1, Ordering::AcqRel);
    }
}
