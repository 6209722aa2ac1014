//! Why a latch was not set, counted down, or waited for to its end.

use std::time::Duration;

use crate::error::Error;
use crate::key::Key;

/// What a [`CountdownLatch`](super::CountdownLatch) could not do.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LatchError {
    /// A count is under way, so no new one was begun.
    #[error("the latch `{key}` counts already, {left} are missing; wait for it, or use another key")]
    AlreadySet {
        /// The latch's full key.
        key: Key,
        /// How many times it is still to be counted down.
        left: u32,
    },
    /// There is no count: none was begun, or it was longer ago than the latch lives.
    #[error("the latch `{key}` is not set; call `set` first")]
    NotSet {
        /// The latch's full key.
        key: Key,
    },
    /// The count that was waited for vanished before it was over: its life ended, or the server lost it. Whether everybody
    /// would have counted down is not known.
    #[error(
        "the latch `{key}` is gone, and was not counted down before; give it a longer `ttl`, or set it again"
    )]
    Gone {
        /// The latch's full key.
        key: Key,
    },
    /// The count was not over within the time to wait.
    #[error("the latch `{key}` was not counted down within {waited:?}; wait again, or longer")]
    Timeout {
        /// The latch's full key.
        key: Key,
        /// How long the call waited.
        waited: Duration,
    },
    /// The server could not be asked. What was asked for may have happened all the same; asked again with the same id, it
    /// happens once.
    #[error("the latch `{key}` could not be asked; cause: {source}")]
    Unknown {
        /// The latch's full key.
        key: Key,
        /// What went wrong.
        source: Error,
    },
}

impl LatchError {
    /// The latch's full key.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::AlreadySet { key, .. }
            | Self::NotSet { key }
            | Self::Gone { key }
            | Self::Timeout { key, .. }
            | Self::Unknown { key, .. } => key,
        }
    }
}
