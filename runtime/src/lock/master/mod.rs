//! One lock master: what grants, prolongs and frees locks, all by itself. A Redis server (or cluster), the embedded store of
//! this process, or whatever a test puts in their place.

mod any;
#[cfg(any(test, feature = "test-util"))]
mod conformance;
mod embedded;
mod kind;
mod redis;

pub(crate) use any::AnyMaster;
#[cfg(feature = "test-util")]
pub(crate) use conformance::conforms;
pub(crate) use embedded::EmbeddedMaster;
pub(super) use embedded::Taken;
pub(crate) use redis::RedisMaster;
pub(super) use redis::{CLAIM, TOKENS};

use std::future::Future;
use std::time::Duration;

use super::sharing::Sharing;
use super::token::FencingToken;
use super::value::LockValue;
use crate::error::Result;
use crate::key::Key;

/// A lock master. Each request is one round trip, or two where a lock is found held, and may be repeated: what it finds done
/// already counts as done.
///
/// Every future may be dropped at any await; what it was about to do then happened or did not.
pub(crate) trait LockMaster: Send + Sync {
    /// Takes the lock if it is free, or ours already, which prolongs it. Else queues, if that is asked for.
    fn acquire(&self, request: &Acquire<'_>) -> impl Future<Output = Result<Answer>> + Send;

    /// Prolongs locks, all in one go. Each answer on its own: what was left of the lock's life, or `None` if it is not ours.
    fn extend(&self, locks: &[Extend<'_>]) -> impl Future<Output = Vec<Result<Option<Duration>>>> + Send;

    /// Frees the lock, or gives it to the first in its queue.
    fn release(&self, lock: Owned<'_>) -> impl Future<Output = Result<Freed>> + Send;

    /// Leaves the queue of the lock, where `mint` is what the lock was asked for with, and frees the lock if it has become
    /// ours.
    fn leave(&self, lock: Owned<'_>, mint: Option<Mint>) -> impl Future<Output = Result<Freed>> + Send;
}

/// A lock and what we have written, or want to write, at its key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Owned<'a> {
    pub(crate) key: &'a Key,
    pub(crate) value: LockValue,
    pub(crate) sharing: Sharing,
}

/// See [`LockMaster::acquire`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Acquire<'a> {
    pub(crate) lock: Owned<'a>,
    /// The lock's life on the master.
    pub(crate) ttl: Duration,
    /// Fencing tokens to take with the lock.
    pub(crate) mint: Option<Mint>,
    pub(crate) queue: Queue,
    /// A value of ours under which the lock may be held: it is given up to whoever waits, else kept under the new one.
    pub(crate) instead_of: Option<LockValue>,
}

/// Fencing tokens to be taken: `counter := max(counter + 1, proposal)`, and so many from there on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mint {
    pub(crate) proposal: u64,
    /// How many in a row, for holders within one process that follow each other.
    pub(crate) count: u64,
}

/// Whether to wait in the master's queue for a lock that is somebody else's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Queue {
    /// No.
    Leave,
    /// Yes; this value never asked before.
    Join,
    /// Yes; this value may be in the queue already.
    Stay,
}

/// What came of [`LockMaster::acquire`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Granted {
        /// The first of the tokens, if they were asked for.
        token: Option<FencingToken>,
    },
    Held(Held),
}

/// Somebody else has the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Held {
    /// What is left of its life, if it is neither prolonged nor released.
    pub(crate) left: Duration,
    /// Our place in the queue, from 1; `None` if we are not in it.
    pub(crate) place: Option<u64>,
    /// When it was answered, by the master's clock.
    pub(crate) at: MasterTime,
}

/// Microseconds on a master's own clock: good for telling how much later something happened there, nothing else.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct MasterTime(pub(crate) u64);

impl MasterTime {
    /// How long after `earlier` this was, by the master's clock; `None` if it was not later.
    pub(crate) fn since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0).filter(|&micros| micros > 0).map(Duration::from_micros)
    }
}

/// See [`LockMaster::extend`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extend<'a> {
    pub(crate) lock: Owned<'a>,
    pub(crate) ttl: Duration,
}

/// What came of a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Freed {
    /// Nobody has the lock.
    Free,
    /// The first of the queue has it.
    HandedOver,
    /// It was not ours: it had ended.
    NotHeld,
}
