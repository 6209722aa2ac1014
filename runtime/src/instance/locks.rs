//! The locks of an instance: what grants them, who asks for them, what keeps them.

use super::{Keylatch, Rules};
use crate::connection::Connection;
use crate::error::Result;
use crate::key::{Key, Namespace};
use crate::lock::{
    AnyMaster, EmbeddedMaster, Gates, LockBuilder, Proposals, QuorumLocks, QuorumRules, RedisMaster,
    RenewalThread, Renewals,
};
use crate::store::AnyStore;

impl Keylatch {
    /// A lock by key.
    pub fn lock(&self, key: impl Into<Key>) -> LockBuilder {
        let key = key.into();
        LockBuilder::new(self.clone(), |writer| writer.encoded(key.as_bytes()))
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
