//! Locks of every kind by key, and latches: where each begins, what grants them, who asks for them, what keeps them.

use super::{Keylatch, Rules};
use crate::connection::Connection;
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::lock::{
    AnyMaster, CountdownLatch, EmbeddedMaster, EvictionCheck, Gates, LockBuilder, Proposals, QuorumLocks,
    QuorumRules, RedisMaster, RenewalThread, Renewals,
};
use crate::store::AnyStore;

impl Keylatch {
    /// A lock by key.
    pub fn lock(&self, key: impl Into<Key>) -> LockBuilder {
        let key = key.into();
        LockBuilder::new(self.clone(), |writer| writer.encoded(key.as_bytes()))
    }

    /// A lock by key that others may have at the same time, as long as they share it, too: for readers. Who takes the same
    /// key by [`lock`](Self::lock) has it alone: for writers. Nobody starves: both come in the order in which they asked
    /// (over several masters, whoever wants it alone keeps new readers out).
    pub fn lock_shared(&self, key: impl Into<Key>) -> LockBuilder {
        let key = key.into();
        LockBuilder::shared(self.clone(), |writer| writer.encoded(key.as_bytes()))
    }

    /// Several locks at once, all of them or none, whatever order they are named in: nobody who takes keys by this waits for
    /// another in a circle. The same locks as by [`lock`](Self::lock).
    ///
    /// # Panics
    /// Without a key.
    pub fn lock_all<K: Into<Key>>(&self, keys: impl IntoIterator<Item = K>) -> LockBuilder {
        let keys: Vec<Key> = keys.into_iter().map(Into::into).collect();
        LockBuilder::all(self.clone(), &keys)
    }

    /// One of `permits` permits by key, at least one: a lock that so many may have at the same time. Everybody must name the
    /// same number; who names fewer waits until there are fewer holders. A semaphore and a lock of the same key have nothing to
    /// do with each other.
    pub fn semaphore(&self, key: impl Into<Key>, permits: u32) -> LockBuilder {
        let key = key.into();
        LockBuilder::semaphore(self.clone(), |writer| writer.encoded(key.as_bytes()), permits)
    }

    /// A countdown latch by key.
    pub fn countdown_latch(&self, key: impl Into<Key>) -> CountdownLatch {
        CountdownLatch::new(self.clone(), &key.into())
    }

    /// The independent masters of `REDIS_LOCK_URLS`, which vote on every lock of this instance; here to be addressed one by one.
    #[must_use]
    pub fn lock_masters(&self) -> &[Connection] {
        &self.0.lock_masters
    }

    /// What grants the locks that need one master.
    pub(crate) fn lock_master(&self) -> &AnyMaster {
        &self.0.lock_master
    }

    /// What fencing tokens are proposed.
    pub(crate) fn proposals(&self) -> &Proposals {
        &self.0.proposals
    }

    /// The locks that this process holds.
    pub(crate) fn renewals(&self) -> &Renewals {
        &self.0.renewals
    }

    /// Locks are extended over that connection, which nothing else may use.
    pub(super) fn extend_locks_by_a_thread(&self, connection: Connection) -> Result<()> {
        let master = RedisMaster::new(connection, self.0.namespace.clone());
        self.renewals().move_to(RenewalThread::start(AnyMaster::Redis(Box::new(master)))?);
        Ok(())
    }

    /// Whether the servers of locks may evict them.
    pub(crate) fn eviction(&self) -> &EvictionCheck {
        &self.0.eviction
    }

    /// Who asks for which lock in this process.
    pub(crate) fn gates(&self) -> &Gates {
        &self.0.gates
    }
}

/// Locks are where entries are, unless they have masters of their own. They are not sheltered: without the server they are
/// refused.
pub(super) fn master(
    store: &AnyStore,
    masters: &[Connection],
    namespace: &Namespace,
    rules: Rules,
) -> AnyMaster {
    if !masters.is_empty() {
        let rules = QuorumRules { rest_after_restart: rules.rest_after_restart, ..QuorumRules::default() };
        return AnyMaster::Quorum(QuorumLocks::new(masters, namespace, rules));
    }
    match store {
        AnyStore::Memory(_) => AnyMaster::Embedded(EmbeddedMaster::default()),
        AnyStore::Redis(redis) => {
            let master = RedisMaster::new(redis.connection().clone(), namespace.clone());
            AnyMaster::Redis(Box::new(if rules.check_lock_values {
                master
            } else {
                master.without_value_check()
            }))
        }
        AnyStore::Unusable(store) => AnyMaster::Unusable(store.error().clone()),
    }
}
