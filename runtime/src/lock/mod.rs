//! Locks: leases on one master or on the embedded store that fail closed and say when they are lost.
//!
//! The way of a lock: [`options`] → [`acquire`] → [`claim`] (what may have been taken, given back on drop) → [`watchdog`]
//! (extends, and declares the loss in time) → [`run`] or [`guard`].

mod acquire;
mod claim;
mod error;
mod guard;
mod held;
mod lease;
mod options;
mod quorum;
mod run;
mod watchdog;

pub use error::{FromLockError, LockError};
pub use guard::LockGuard;
pub use lease::Lease;
pub use options::LockBuilder;

pub(crate) use held::HeldLocks;

pub use run::{refusal, with_lock};
