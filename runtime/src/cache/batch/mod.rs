//! Batches: calls for many ids at once, of which each has an entry of its own.
//!
//! The way of a batch: [`entries`] (one entry per distinct id) → [`call`] (the handle) → [`flow`] → [`session`] (look up, claim,
//! wait: all records together) → the body, for the ids that are missing → [`leads`] (the rights to store). What a slot means, who
//! may share a load and what is stored is decided by what decides it for single calls.

mod call;
mod entries;
mod flow;
mod leads;
mod look;
mod outcome;
mod session;
mod wait;

pub use call::{CachedBatch, batch};
pub use entries::{collected, entries, once, owned};
pub use outcome::{Again, Records, again, keyed};
