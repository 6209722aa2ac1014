//! What a holder can know of its lock.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::LockError;
use crate::clock::{self, Instant};
use crate::key::Key;

/// A view of a held lock. Cheap to clone; does not keep the lock.
#[derive(Debug, Clone)]
pub struct Lease(pub(super) Arc<Shared>);

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) key: Key,
    pub(super) validity: watch::Sender<Validity>,
}

/// Until when the lock may be relied on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Validity {
    Until(Instant),
    Lost,
}

impl Lease {
    pub(super) fn new(key: Key) -> Self {
        Self(Arc::new(Shared { key, validity: watch::Sender::new(Validity::Lost) }))
    }

    /// The lock's full key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// Whether the lock may still be relied on. Asks nobody: by the clock and the last extension.
    ///
    /// # Errors
    /// [`LockError::Lost`].
    pub fn check(&self) -> Result<(), LockError> {
        if self.is_lost() { Err(LockError::Lost { key: self.0.key.clone() }) } else { Ok(()) }
    }

    /// For how long the lock may be relied on if it is not extended. Zero when it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        match *self.0.validity.borrow() {
            Validity::Until(deadline) => deadline.saturating_duration_since(clock::now()),
            Validity::Lost => Duration::ZERO,
        }
    }

    /// Completes when the lock may no longer be relied on, before anybody else can have it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn lost(&self) {
        let mut validity = self.0.validity.subscribe();
        loop {
            let deadline = match *validity.borrow_and_update() {
                Validity::Lost => return,
                Validity::Until(deadline) => deadline,
            };
            tokio::select! {
                changed = validity.changed() => if changed.is_err() { return },
                () = clock::sleep_until(deadline) => if self.is_lost() { return },
            }
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        match *self.0.validity.borrow() {
            Validity::Until(deadline) => clock::now() >= deadline,
            Validity::Lost => true,
        }
    }

    pub(super) fn set(&self, validity: Validity) {
        self.0.validity.send_replace(validity);
    }
}
