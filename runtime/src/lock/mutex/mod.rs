//! A lock that one holder has at a time, from the request to the release.
//!
//! [`acquire`] → [`claim`] (what is held, given back on drop) → [`run`] or [`guard`]. On the embedded store callers wait in the
//! master's own queue ([`embedded`]). On servers those of one process stand at one [`gate`]: one of them asks for all
//! ([`remote`]), and what it has goes from hand to hand ([`turn`]).

mod acquire;
mod claim;
mod embedded;
#[cfg(test)]
mod explored;
mod gate;
mod guard;
mod remote;
mod run;
mod slots;
mod turn;

pub(super) use acquire::{AtOnce, acquire, at_once};
pub(super) use claim::Claim;
pub(crate) use gate::Gates;
pub(super) use remote::Together;

pub use guard::LockGuard;
pub use run::{refusal, with_lock};
