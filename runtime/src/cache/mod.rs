//! Cached calls: from a plan, through the look-up, to a value that is stored only if nothing was invalidated meanwhile.
//!
//! The way of a call: [`plan`] (what the attribute says) → [`call`] (the handle) → [`flow`] → [`session`] (look up, wait,
//! claim; decided by [`decision`]) → the body, under a [`recorder`](dependencies) → [`lead`] (the right to store).

mod aging;
mod at_hand;
mod batch;
mod call;
mod count;
mod decision;
mod dependencies;
mod entry;
mod explain;
pub mod explanation;
mod flow;
mod function;
mod give_back;
mod glance;
mod held;
mod keeper;
mod lead;
mod made_from;
mod options;
mod outcome;
mod plan;
mod put;
mod round;
mod session;
mod single_flight;
mod vouched;
mod writing;

pub use batch::CachedBatch;
pub use call::CachedCall;
pub use entry::{Entry, Refreshed};
pub use function::{Function, FunctionStats, stats};
pub use held::must_read_primary;
pub use outcome::shape;

pub(crate) use aging::{Attempts, Slides};
pub use batch::{Again, Records, again, batch, collected, entries, keyed, once, owned};
pub use call::{Named, call, call_aging, call_refreshing};
pub use entry::always;
pub use keeper::Keeper;
pub use options::Options;
pub(crate) use outcome::Outcome;
pub use outcome::{Life, Verdict, accepts, life, life_by, missing};
pub use plan::Plan;
pub(crate) use single_flight::Flights;
pub use writing::{Put, success};
