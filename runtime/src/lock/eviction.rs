//! Whether the servers of locks may evict them: looked at behind the first lock of an instance, and told once.

use std::sync::atomic::{AtomicBool, Ordering};

use futures_util::future::join_all;

use super::master::AnyMaster;
use crate::connection::Connection;
use crate::{Keylatch, telemetry};

/// Whether it was looked at.
#[derive(Debug, Default)]
pub(crate) struct EvictionCheck(AtomicBool);

impl EvictionCheck {
    /// Looks in a task of its own, the first time. Nobody waits for it: it says what a person should change.
    pub(super) fn look(&self, home: &Keylatch) {
        if self.0.load(Ordering::Relaxed) || self.0.swap(true, Ordering::Relaxed) {
            return;
        }
        let servers = match home.lock_master() {
            AnyMaster::Redis(master) => vec![master.connection().clone()],
            AnyMaster::Quorum(_) => home.lock_masters().to_vec(),
            AnyMaster::Embedded(_) | AnyMaster::Unusable(_) => return,
        };
        tokio::spawn(async move {
            let health = join_all(servers.iter().map(Connection::health)).await;
            for server in health.iter().flat_map(|health| &health.servers) {
                if let Some(warning) = server.endangers_locks() {
                    telemetry::locks_may_be_evicted(&warning);
                }
            }
        });
    }
}
