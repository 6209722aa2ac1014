//! The crate that users depend on; its documentation is the README.

#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

// Lets this crate's own tests and doctests use the macros, which name the crate from outside.
#[allow(unused_extern_crates, clippy::allow_attributes, reason = "unused where the macros are off")]
extern crate self as keylatch;

#[doc(hidden)]
pub mod __private;

pub mod codec;
pub mod fencing;

/// The Redis client, for its commands on a [`Connection`].
pub use redis;

mod cache;
mod clock;
mod connection;
mod error;
mod invalidation;
mod key;
mod local;

mod instance;
mod lock;
mod random;
mod script;
mod store;
mod telemetry;
mod threads;

pub use cache::explanation;
pub use cache::{
    CachedBatch, CachedCall, Entry, Function, FunctionStats, Refreshed, must_read_primary, stats,
};
pub use connection::{
    BreakerState, BreakerStatus, Connection, EndpointStatus, Health, Secret, ServerHealth, Status,
};
pub use error::{Error, ErrorKind, Result};
pub use invalidation::{Progress, Sweep};
pub use key::{Key, KeyPart, KeyWriter, Pattern};
pub use lock::{
    CountdownLatch, FencingToken, FromLockError, LatchError, Lease, LockBuilder, LockError, LockGuard,
    MasterVote, NoVote, Passed, ReleaseError,
};

pub use instance::{AfterFailover, AlreadyInstalled, Builder, Keylatch, Leftovers, Provider, Settings};

#[cfg(feature = "macros")]
#[doc = include_str!("docs/key_part.md")]
pub use keylatch_macros::KeyPart;
#[cfg(feature = "macros")]
#[doc = include_str!("docs/cache_invalidate.md")]
pub use keylatch_macros::cache_invalidate;
#[cfg(feature = "macros")]
#[doc = include_str!("docs/cache_put.md")]
pub use keylatch_macros::cache_put;
#[cfg(feature = "macros")]
#[doc = include_str!("docs/cached.md")]
pub use keylatch_macros::cached;
#[cfg(feature = "macros")]
#[doc = include_str!("docs/with_lock.md")]
pub use keylatch_macros::with_lock;
