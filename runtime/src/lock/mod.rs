//! Locks: leases on one master or on the embedded store that fail closed and say when they are lost.
//!
//! [`master`] is what grants locks, [`quorum`] several of them that decide by majority, [`mutex`] the way of one of them from the request to the release, [`renewal`] what keeps
//! it meanwhile.

mod error;
mod eviction;
#[cfg(test)]
mod explored;
mod holders;
mod holding;
mod inbox;
mod latch;
mod lease;
mod master;
mod mutex;
mod options;
mod quorum;
mod refusals;
mod renewal;
mod scope;
mod several;
mod sharing;
mod sync;
mod token;
mod value;

pub use error::ReleaseError;
pub use error::{FromLockError, LockError};
pub use latch::{CountdownLatch, LatchError};
pub use lease::Lease;
pub use mutex::LockGuard;
pub use options::LockBuilder;
pub use quorum::{MasterVote, NoVote};
pub(crate) use quorum::{QuorumLocks, QuorumRules};
pub use scope::Passed;
pub use token::FencingToken;

pub(crate) use eviction::EvictionCheck;
#[cfg(feature = "test-util")]
pub use inbox::drop_every_nth_push;
pub(crate) use inbox::{channel as inbox_channel, deliver, disturbed};
pub(crate) use latch::Latches;
#[cfg(feature = "test-util")]
pub(crate) use master::conforms as master_conforms;
pub(crate) use master::{
    Acquire, Answer, AnyMaster, EmbeddedMaster, Extend, LockMaster, Owned, Queue, RedisMaster,
};
pub(crate) use mutex::Gates;
pub(crate) use renewal::{RenewalThread, Renewals};
pub(crate) use sharing::Sharing;
pub(crate) use token::Proposals;
pub(crate) use value::LockValue;

pub use mutex::{refusal, with_lock};
