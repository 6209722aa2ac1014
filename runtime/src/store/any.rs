//! The store of a `Keylatch`: one of them, chosen by configuration, without dynamic dispatch or boxed futures.

use std::time::Duration;

use super::{
    Claim, ClaimRequest, Guarded, MemoryStore, Overlap, RedisStore, StampStates, Store, UnusableStore,
    Values, Wake,
};
use crate::error::Result;
use crate::key::{FullPattern, Key};

/// See the module.
#[derive(Debug)]
pub(crate) enum AnyStore {
    Memory(MemoryStore),
    Redis(RedisStore),
    Unusable(UnusableStore),
}

impl AnyStore {
    /// A server that may not know the last invalidations; see [`Connection::unfamiliar`](crate::connection::Connection).
    pub(crate) fn unfamiliar(&self) -> Option<u64> {
        match self {
            Self::Redis(store) => store.unfamiliar(),
            Self::Memory(_) | Self::Unusable(_) => None,
        }
    }

    /// The server has been told.
    pub(crate) fn familiar(&self, generation: u64) {
        if let Self::Redis(store) = self {
            store.familiar(generation);
        }
    }

    /// Whether entries outlive this process's memory, and so can come back.
    pub(crate) fn is_remote(&self) -> bool {
        matches!(self, Self::Redis(_))
    }
}

macro_rules! each {
    ($self:ident . $method:ident ( $($arg:expr),* ) $($await:tt)*) => {
        match $self {
            Self::Memory(store) => store.$method($($arg),*) $($await)*,
            Self::Redis(store) => store.$method($($arg),*) $($await)*,
            Self::Unusable(store) => store.$method($($arg),*) $($await)*,
        }
    };
}

impl Store for AnyStore {
    async fn read(&self, keys: &[&Key]) -> Result<Values> {
        each!(self.read(keys).await)
    }

    async fn read_watched(&self, keys: &[&Key], wake: &Wake) -> Result<Values> {
        each!(self.read_watched(keys, wake).await)
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

    async fn put(&self, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
        each!(self.put(slot, value, life).await)
    }

    async fn extend(&self, key: &Key, expected: &[u8], life: Duration) -> Result<Guarded> {
        each!(self.extend(key, expected, life).await)
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

    async fn invalidate_matching(&self, pattern: &FullPattern) -> Result<u64> {
        each!(self.invalidate_matching(pattern).await)
    }

    async fn time_to_live(&self, key: &Key) -> Result<Option<Duration>> {
        each!(self.time_to_live(key).await)
    }

    async fn lock(&self, key: &Key, token: &[u8], life: Duration, wake: Option<&Wake>) -> Result<Guarded> {
        each!(self.lock(key, token, life, wake).await)
    }

    async fn extend_lock(&self, key: &Key, token: &[u8], life: Duration) -> Result<Guarded> {
        each!(self.extend_lock(key, token, life).await)
    }

    async fn unlock(&self, key: &Key, token: &[u8]) -> Result<Guarded> {
        each!(self.unlock(key, token).await)
    }
}
