//! What is had once a lock was granted, whatever kind it is: one key, several, or the caller's own.

use super::LockError;
use super::lease::Lease;
use super::mutex::{self, Claim};
use super::options::LockBuilder;
use super::renewal::watch;
use super::scope::Within;
use super::several::{self, Several};

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

    /// Completes when it is lost.
    pub(super) async fn watch(&self) {
        match self {
            Self::One(claim) => watch(claim).await,
            Self::Several(several) => several.watch().await,
            Self::Within(within) => within.lease.lost().await,
        }
    }

    /// Gives back what is ours.
    ///
    /// # Errors
    /// [`LockError::Lost`] if somebody else may have had it meanwhile; [`LockError::Unknown`] if a server did not answer.
    pub(super) async fn release(self) -> Result<(), LockError> {
        match self {
            Self::One(claim) => claim.release().await,
            Self::Several(several) => several.release().await,
            Self::Within(within) => within.lease.check(),
        }
    }
}
