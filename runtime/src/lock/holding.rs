//! What is had once a lock was granted, whatever kind it is: one key, several, or the caller's own.

use std::future::{Future, ready};
use std::pin::Pin;

use futures_util::future::Either;

use super::lease::Lease;
use super::mutex::{self, AtOnce, Claim};
use super::options::LockBuilder;
use super::scope::Within;
use super::several::{self, Several};
use super::{LockError, ReleaseError};
use crate::clock;
use crate::error::{Error, ErrorKind};

/// See the module. Dropping it gives back what is ours.
#[derive(Debug)]
pub(super) enum Holding {
    One(Claim),
    Several(Several),
    Within(Within),
}

/// On the heap: in place they would be part of every caller's future, also of those who need not wait.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Holding {
    /// Takes what `options` ask for, or says why not. A dropped wait leaves nothing behind.
    pub(super) async fn acquire(options: LockBuilder) -> Result<Self, LockError> {
        let mut holding = Self::begin(options).await?;
        let has_waited = match &mut holding {
            Self::One(claim) => claim.let_driver_look().await,
            Self::Several(_) | Self::Within(_) => false,
        };
        if has_waited { holding.unless_lost() } else { Ok(holding) }
    }

    /// After any await: the process may have stood still meanwhile, for longer than the lease.
    fn unless_lost(self) -> Result<Self, LockError> {
        if !self.lease().is_lost() {
            return Ok(self);
        }
        let source = Error::new(ErrorKind::Timeout, "lock")
            .with("fault", "it had ended before the body could begin")
            .remedy("retry, with a longer `ttl` where this process stands still for long");
        // Dropping it gives back what may be left of it.
        Err(LockError::Unknown { key: self.lease().key().clone(), source })
    }

    /// What needs no waiting is done at once.
    fn begin(mut options: LockBuilder) -> impl Future<Output = Result<Self, LockError>> + Send {
        if let Some(lease) = options.within.take() {
            return Either::Left(ready(Within::new(&options, lease).map(Self::Within)));
        }
        let look = if options.others.is_empty() { mutex::at_once(options) } else { AtOnce::NotYet(options) };
        match look {
            AtOnce::Had(claim) => Either::Left(ready(Ok(Self::One(claim)))),
            AtOnce::NotYet(options) => Either::Right(Box::pin(Self::in_turn(options)) as Boxed<_>),
        }
    }

    /// Asks for it, and again while there is time, should it have ended before it could be used: what is handed over is held for
    /// a moment only, until its new holder has extended it.
    async fn in_turn(mut options: LockBuilder) -> Result<Self, LockError> {
        let (began, wait) = (clock::moment(), options.wait);
        loop {
            let asked = clock::moment();
            let holding = Self::asked_for(options.clone()).await?;
            options.home.eviction().look(&options.home);
            let now = clock::moment();
            options.wait = wait.saturating_sub(now - began);
            // The next one would be held no longer.
            let is_over = options.max_hold.is_some_and(|limit| limit <= now - asked);
            if is_over || options.wait.is_zero() || !holding.lease().is_lost() {
                return holding.unless_lost();
            }
        }
    }

    async fn asked_for(options: LockBuilder) -> Result<Self, LockError> {
        Ok(if options.others.is_empty() {
            Self::One(mutex::acquire(options).await?)
        } else {
            Self::Several(several::acquire(options).await?)
        })
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
    pub(super) fn release(self) -> impl Future<Output = Result<(), ReleaseError>> + Send {
        match self {
            Self::One(claim) => match claim.free_at_once() {
                Ok(freed) => Either::Left(ready(freed)),
                Err(claim) => Either::Right(Box::pin(claim.release()) as Boxed<_>),
            },
            Self::Several(several) => Either::Right(Box::pin(several.release()) as Boxed<_>),
            Self::Within(within) if within.lease.is_lost() => {
                Either::Left(ready(Err(ReleaseError::NotHeld { key: within.key })))
            }
            // It is the caller's.
            Self::Within(_) => Either::Left(ready(Ok(()))),
        }
    }
}
