//! What is had once a lock was granted, whatever kind it is: one key, several, or the caller's own.

use super::lease::Lease;
use super::mutex::{self, Claim};
use super::options::LockBuilder;
use super::scope::Within;
use super::several::{self, Several};
use super::{LockError, ReleaseError};

/// See the module. Dropping it gives back what is ours.
#[derive(Debug)]
pub(super) enum Holding {
    One(Claim),
    Several(Several),
    Within(Within),
}

impl Holding {
    /// Takes what `options` ask for, or says why not. A dropped wait leaves nothing behind.
    pub(super) async fn acquire(mut options: LockBuilder) -> Result<Self, LockError> {
        if let Some(lease) = options.within.take() {
            return Within::new(options, lease).map(Self::Within);
        }
        if options.others.is_empty() {
            return mutex::acquire(options).await.map(Self::One);
        }
        several::acquire(options).await.map(Self::Several)
    }

    pub(super) fn options(&self) -> &LockBuilder {
        match self {
            Self::One(claim) => &claim.options,
            Self::Several(several) => &several.options,
            Self::Within(within) => &within.options,
        }
    }

    pub(super) fn lease(&self) -> &Lease {
        match self {
            Self::One(claim) => &claim.lease,
            Self::Several(several) => &several.lease,
            Self::Within(within) => &within.lease,
        }
    }

    /// Gives back what is ours.
    ///
    /// # Errors
    /// [`ReleaseError::NotHeld`] if somebody else may have had it meanwhile; [`ReleaseError::Unknown`] if a server did not
    /// answer.
    ///
    /// # Cancel safety
    /// Dropped, it goes on in the background.
    pub(super) async fn release(self) -> Result<(), ReleaseError> {
        match self {
            Self::One(claim) => claim.release().await,
            Self::Several(several) => several.release().await,
            Self::Within(within) if within.lease.is_lost() => {
                Err(ReleaseError::NotHeld { key: within.options.key })
            }
            // It is the caller's.
            Self::Within(_) => Ok(()),
        }
    }
}
