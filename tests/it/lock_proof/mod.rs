//! Promise 3 under the worst that can be arranged: processes that are stopped and killed, servers that forget, networks that
//! hold things back. What is recorded there is judged by the checker of `lock_history`.
//!
//! Each test takes moments, or as long as `KEYLATCH_LOCK_SECONDS` says; each has a companion that leaves out what it shows to
//! be needed, and must fail.

mod blocked;
pub(crate) mod closed;
mod counter;
mod failover;
mod leaks;
mod paused;
mod recorded;
pub(crate) mod recorder;
mod server_faults;
