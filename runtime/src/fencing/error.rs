//! Why a resource did not take a write, or could not be asked.

use redis::RedisError;

use crate::lock::FencingToken;

/// A write, a read or a registration under a fencing token that did not take place.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum FenceError {
    /// The resource knows a newer holder. Nothing was written.
    #[error(
        "`{resource}` refuses the token {token}: a newer holder was there{}; the lock is lost, so do not repeat the write: \
         take the lock again and start from what is there", newest.map(|newest| format!(" ({newest})")).unwrap_or_default()
    )]
    Stale {
        /// Which resource.
        resource: String,
        /// The token that was refused.
        token: FencingToken,
        /// The newest one that the resource has seen, where it says so.
        newest: Option<u64>,
    },
    /// The resource could not be asked, or answered with an error. It is not known whether anything was written; the same
    /// step may be repeated with the same token.
    #[error("`{resource}` could not be asked; cause: {source}")]
    Unknown {
        /// Which resource.
        resource: String,
        /// What went wrong.
        source: RedisError,
    },
}

impl FenceError {
    /// Whether the resource refused the token.
    #[must_use]
    pub fn is_stale(&self) -> bool {
        matches!(self, Self::Stale { .. })
    }
}
