//! The lock master of a `Keylatch`: one of them, chosen by configuration, without dynamic dispatch.

use std::time::Duration;

use super::{Acquire, Answer, EmbeddedMaster, Extend, Freed, LockMaster, Mint, Owned, RedisMaster};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::lock::quorum::QuorumLocks;
use crate::lock::value::LockValue;

/// See the module.
#[derive(Debug)]
pub(crate) enum AnyMaster {
    Embedded(EmbeddedMaster),
    Redis(Box<RedisMaster>),
    /// Several that decide by majority.
    Quorum(QuorumLocks),
    /// The configuration is bad: locks are refused with the reason.
    Unusable(Error),
}

impl AnyMaster {
    /// Whether whoever waits for that lock is told when it is handed over.
    pub(crate) async fn is_listening(&self, lock: &Key) -> bool {
        match self {
            Self::Redis(master) => master.connection().is_listening(lock).await,
            Self::Embedded(_) | Self::Quorum(_) | Self::Unusable(_) => false,
        }
    }

    /// Whether a request for that value may be carried out after its release. Several masters see to that by themselves.
    pub(crate) fn may_come_late(&self, value: LockValue) -> bool {
        match self {
            Self::Redis(master) => master.may_come_late(value),
            Self::Embedded(_) | Self::Quorum(_) | Self::Unusable(_) => false,
        }
    }

    /// Sees to it, where that is possible.
    pub(crate) async fn listen(&self, lock: &Key) -> bool {
        match self {
            Self::Redis(master) => master.connection().listen(lock).await,
            Self::Embedded(_) | Self::Quorum(_) | Self::Unusable(_) => false,
        }
    }
}

impl LockMaster for AnyMaster {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        match self {
            Self::Embedded(master) => master.acquire(request).await,
            Self::Redis(master) => Box::pin(master.acquire(request)).await,
            Self::Quorum(masters) => Box::pin(masters.acquire(request)).await,
            Self::Unusable(reason) => Err(reason.clone()),
        }
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        match self {
            Self::Embedded(master) => master.extend(locks).await,
            Self::Redis(master) => Box::pin(master.extend(locks)).await,
            Self::Quorum(masters) => Box::pin(masters.extend(locks)).await,
            Self::Unusable(reason) => locks.iter().map(|_| Err(reason.clone())).collect(),
        }
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        match self {
            Self::Embedded(master) => master.release(lock).await,
            Self::Redis(master) => Box::pin(master.release(lock)).await,
            Self::Quorum(masters) => Box::pin(masters.release(lock)).await,
            Self::Unusable(reason) => Err(reason.clone()),
        }
    }

    async fn leave(&self, lock: Owned<'_>, mint: Option<Mint>) -> Result<Freed> {
        match self {
            Self::Embedded(master) => master.leave(lock, mint).await,
            Self::Redis(master) => Box::pin(master.leave(lock, mint)).await,
            Self::Quorum(masters) => Box::pin(masters.leave(lock, mint)).await,
            Self::Unusable(reason) => Err(reason.clone()),
        }
    }
}
