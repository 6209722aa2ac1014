//! The store of a `Keylatch`: one of them, chosen by configuration, without dynamic dispatch.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Claim, ClaimRequest, Freshness, Glance, Guarded, Held, ManyClaimed, ManyClaims, MemoryStore, Overlap,
    Reading, RedisStore, Replacement, ShelteredStore, StampStates, Store, UnusableStore, Values, Wake,
};
use crate::connection::Connection;
use crate::error::Result;
use crate::invalidation::Report;
use crate::key::{FullPattern, Key};
use crate::local::Local;

/// See the module.
#[derive(Debug)]
pub(crate) enum AnyStore {
    Memory(MemoryStore),
    Redis(Box<ShelteredStore>),
    Unusable(UnusableStore),
}

/// What is never sheltered is asked of this: the servers, or the one store of the process.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Primary<'a> {
    Embedded(&'a MemoryStore),
    Redis(&'a RedisStore),
}

impl AnyStore {
    /// Where locks and latches are.
    ///
    /// # Errors
    /// The reason why there is none.
    pub(crate) fn primary(&self) -> Result<Primary<'_>> {
        match self {
            Self::Memory(store) => Ok(Primary::Embedded(store)),
            Self::Redis(store) => Ok(Primary::Redis(store.redis())),
            Self::Unusable(store) => Err(store.error().clone()),
        }
    }

    /// The servers, where there are any.
    pub(crate) fn connection(&self) -> Option<&Connection> {
        match self {
            Self::Redis(store) => Some(store.connection()),
            Self::Memory(_) | Self::Unusable(_) => None,
        }
    }

    /// Whether reads may be answered by replicas.
    pub(crate) fn may_lag(&self) -> bool {
        self.connection().is_some_and(Connection::has_replicas)
    }

    /// Whether all answers, and all news of changes, come in one order.
    pub(crate) fn is_in_one_order(&self) -> bool {
        match self {
            Self::Memory(_) => true,
            Self::Redis(store) => !store.connection().is_cluster() && store.connection().is_tracking(),
            Self::Unusable(_) => false,
        }
    }

    /// Reads one slot on the short way; `None` where there is none: what is read there may lag, or comes in no order with the
    /// news of changes.
    pub(crate) fn glance(&self, slot: &Key, freshness: Freshness) -> Option<Glance> {
        match self {
            Self::Memory(store) => Some(Glance::Here(store.find(slot))),
            Self::Redis(store) if self.is_in_one_order() && !self.may_lag() => {
                store.glance(slot, freshness).map(Glance::Sent)
            }
            Self::Redis(_) | Self::Unusable(_) => None,
        }
    }

    /// From now on, readers may wait for that long, each by a timer of its own.
    pub(crate) fn bear(&self, limit: Duration) {
        if let Self::Redis(store) = self {
            store.bear(limit);
        }
    }

    /// Whether the key's server is down and the refuge answers for it.
    pub(crate) fn is_sheltered(&self, key: &Key) -> bool {
        matches!(self, Self::Redis(store) if store.is_sheltered(key))
    }
}

macro_rules! each {
    // A way to Redis is far longer than one to memory: in place, its future would be part of every handle, also on the
    // embedded store. Beside a round trip, one allocation costs nothing.
    ($self:ident . $method:ident ( $($arg:expr),* ) .await) => {
        match $self {
            Self::Memory(store) => store.$method($($arg),*).await,
            Self::Redis(store) => Box::pin(store.$method($($arg),*)).await,
            Self::Unusable(store) => store.$method($($arg),*).await,
        }
    };
    ($self:ident . $method:ident ( $($arg:expr),* )) => {
        match $self {
            Self::Memory(store) => store.$method($($arg),*),
            Self::Redis(store) => store.$method($($arg),*),
            Self::Unusable(store) => store.$method($($arg),*),
        }
    };
}

impl Store for AnyStore {
    async fn read(&self, keys: &[&Key], freshness: Freshness) -> Result<Reading> {
        each!(self.read(keys, freshness).await)
    }

    async fn read_watched(&self, keys: &[&Key], wake: &Wake) -> Result<Values> {
        each!(self.read_watched(keys, wake).await)
    }

    fn tell(&self, local: Arc<Local>) {
        each!(self.tell(local));
    }

    fn wake(&self, key: &Key) -> Wake {
        each!(self.wake(key))
    }

    async fn claim(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        each!(self.claim(claim).await)
    }

    async fn capture(&self, stamps: &[&Key], life: Duration) -> Result<StampStates> {
        each!(self.capture(stamps, life).await)
    }

    async fn replace(&self, slot: &Key, expected: &[u8], value: &[u8], life: Duration) -> Result<Guarded> {
        each!(self.replace(slot, expected, value, life).await)
    }

    async fn claim_many(&self, claims: ManyClaims<'_>) -> Result<ManyClaimed> {
        each!(self.claim_many(claims).await)
    }

    async fn replace_many(&self, replacements: &[Replacement<'_>]) -> Vec<Result<Guarded>> {
        each!(self.replace_many(replacements).await)
    }

    async fn extend_many(&self, held: &[Held<'_>], life: Duration) -> Vec<Result<Guarded>> {
        each!(self.extend_many(held, life).await)
    }

    async fn release_many(&self, held: &[Held<'_>]) -> Vec<Result<Guarded>> {
        each!(self.release_many(held).await)
    }

    async fn put(&self, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
        each!(self.put(slot, value, life).await)
    }

    async fn extend(&self, key: &Key, expected: &[u8], life: Duration) -> Result<Guarded> {
        each!(self.extend(key, expected, life).await)
    }

    async fn slide(&self, slot: &Key, expected: &[u8], life: Duration, step: Duration) -> Result<Guarded> {
        each!(self.slide(slot, expected, life, step).await)
    }

    async fn release(&self, key: &Key, expected: &[u8]) -> Result<Guarded> {
        each!(self.release(key, expected).await)
    }

    async fn invalidate(&self, keys: &[&Key]) -> Result<()> {
        each!(self.invalidate(keys).await)
    }

    async fn hold(&self, keys: &[&Key], hold: &[u8], life: Duration) -> Result<Vec<Overlap>> {
        each!(self.hold(keys, hold, life).await)
    }

    async fn invalidate_matching(&self, pattern: &FullPattern, report: &Report<'_>) -> Result<u64> {
        each!(self.invalidate_matching(pattern, report).await)
    }

    async fn time_to_live(&self, key: &Key) -> Result<Option<Duration>> {
        each!(self.time_to_live(key).await)
    }
}
