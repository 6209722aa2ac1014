//! Why a lock was not had, or not kept.

use std::fmt;
use std::time::Duration;

use super::quorum::{MasterVote, NoQuorum, fmt_votes};
use crate::error::Error;
use crate::key::Key;

/// A lock that was not had, or not kept. Locks fail closed: without proof that the lock is held, the body does not run,
/// or does not go on.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum LockError {
    /// Somebody else holds it, and the call does not wait. The body did not run.
    #[error("the lock `{key}` is held by somebody else; retry later, or wait for it with `wait`")]
    Busy {
        /// The lock's full key.
        key: Key,
    },
    /// Somebody else held it for the whole wait. The body did not run.
    #[error("the lock `{key}` was held by others for {waited:?}; retry later, or wait longer with `wait`")]
    Timeout {
        /// The lock's full key.
        key: Key,
        /// How long the call waited.
        waited: Duration,
    },
    /// The lease ended, or could not be extended in time. The body ran and was stopped at an await, unless it is one that goes on
    /// (`on_lost = continue`, or a guard's); what it had done before that is done.
    #[error("the lock `{key}` was lost while its body ran; check what it has done, then retry")]
    Lost {
        /// The lock's full key.
        key: Key,
    },
    /// The lock that was passed down is not the one that is needed, or not any more. The body did not run.
    #[error(
        "the lock `{key}` is not covered by the one that was passed down: {fault}; pass the right one, or none"
    )]
    NotCovered {
        /// The full key of the lock that is needed.
        key: Key,
        /// What is wrong with the other.
        fault: &'static str,
    },
    /// Too few of several independent masters took part in the vote: they are down, slow, or were restarted a moment ago. The
    /// body did not run. Votes that were given are given back in the background, or expire.
    #[error("the lock `{key}` was not had, for lack of a quorum: {}; see to those masters", Votes(*.needed, .votes))]
    NoQuorum {
        /// The lock's full key.
        key: Key,
        /// How many votes are a majority.
        needed: usize,
        /// What each master said.
        votes: Vec<MasterVote>,
    },
    /// The server could not be asked; or the process stood still until the lock had ended again, and there was no time left to
    /// wait for it once more (on the embedded store it is not asked for again). The body did not run. Should the lock have been
    /// taken all the same, it is given back in the background, or expires.
    #[error("the lock `{key}` could not be had; cause: {source}")]
    Unknown {
        /// The lock's full key.
        key: Key,
        /// What went wrong.
        source: Error,
    },
}

struct Votes<'a>(usize, &'a [MasterVote]);

impl fmt::Display for Votes<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt_votes(self.0, self.1, f)
    }
}

impl LockError {
    /// The lock could not be asked for.
    pub(crate) fn unasked(key: Key, source: Error) -> Self {
        let no_quorum =
            std::error::Error::source(&source).and_then(|source| source.downcast_ref::<NoQuorum>());
        match no_quorum {
            Some(NoQuorum { needed, votes }) => Self::NoQuorum { key, needed: *needed, votes: votes.clone() },
            None => Self::Unknown { key, source },
        }
    }

    /// Whether the body ran, at least in part.
    #[must_use]
    pub fn body_ran(&self) -> bool {
        matches!(self, Self::Lost { .. })
    }

    /// The lock's full key.
    #[must_use]
    pub fn key(&self) -> &Key {
        match self {
            Self::Busy { key }
            | Self::Timeout { key, .. }
            | Self::Lost { key }
            | Self::NotCovered { key, .. }
            | Self::NoQuorum { key, .. }
            | Self::Unknown { key, .. } => key,
        }
    }
}

/// Why a release cannot say that nobody else has had the lock.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ReleaseError {
    /// The lock had ended before: somebody else may have had it meanwhile.
    #[error("the lock `{key}` had ended before it was released; somebody else may have had it meanwhile")]
    NotHeld {
        /// The lock's full key.
        key: Key,
    },
    /// The server did not answer. It is asked again in the background, until the lock has expired.
    #[error("nobody knows whether the lock `{key}` was released, it expires by itself; cause: {source}")]
    Unknown {
        /// The lock's full key.
        key: Key,
        /// What went wrong.
        source: Error,
    },
}

/// A return type that can report a [`LockError`]: `Result<_, E>` where `E: From<LockError>`.
#[diagnostic::on_unimplemented(
    message = "`{Self}` cannot report that the lock was not had",
    label = "a function under `#[with_lock]` returns `Result<_, E>` where `E: From<keylatch::LockError>`",
    note = "write `impl From<keylatch::LockError> for YourError`, or with thiserror a variant `Lock(#[from] keylatch::LockError)`"
)]
pub trait FromLockError {
    /// The result of a call whose lock failed.
    fn from_lock_error(error: LockError) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T, E: From<LockError>> FromLockError for Result<T, E> {
    fn from_lock_error(error: LockError) -> Self {
        Err(error.into())
    }
}
