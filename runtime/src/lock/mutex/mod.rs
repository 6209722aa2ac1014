//! A lock that one holder has at a time, from the request to the release.
//!
//! [`acquire`] → [`claim`] (what may have been taken, given back on drop) → [`run`] or [`guard`].

mod acquire;
mod claim;
mod guard;
mod run;

pub(super) use claim::Claim;
pub use guard::LockGuard;
pub use run::{refusal, with_lock};
