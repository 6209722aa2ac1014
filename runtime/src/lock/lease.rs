//! What a holder can know of its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio::sync::Notify;

use super::{FencingToken, LockError};
use crate::clock::{self, Moment};
use crate::key::Key;

/// A view of a held lock. Cheap to clone; does not keep the lock.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    key: Key,
    /// Until when the lock may be relied on; [`Moment::PAST`] once it is lost.
    deadline: AtomicU64,
    /// 0 for none.
    token: AtomicU64,
    lost: Notify,
}

impl Lease {
    /// Of a lock that is not had yet.
    pub(super) fn new(key: Key) -> Self {
        let deadline = AtomicU64::new(Moment::PAST.nanos());
        Self(Arc::new(Shared { key, deadline, token: AtomicU64::new(0), lost: Notify::new() }))
    }

    /// The lock's full key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// The fencing token of this holder; `None` if none was [asked for](super::LockBuilder::fence).
    #[must_use]
    pub fn token(&self) -> Option<FencingToken> {
        let token = self.0.token.load(Ordering::Acquire);
        (token != 0).then(|| FencingToken::new(token))
    }

    /// Whether the lock may still be relied on. Asks nobody: by the clock and the last extension. Allocates nothing unless
    /// the lock is lost.
    ///
    /// # Errors
    /// [`LockError::Lost`].
    pub fn check(&self) -> Result<(), LockError> {
        if self.is_lost() { Err(LockError::Lost { key: self.0.key.clone() }) } else { Ok(()) }
    }

    /// For how long the lock may be relied on if it is not extended. Zero when it is lost.
    #[must_use]
    pub fn remaining(&self) -> Duration {
        self.deadline() - clock::moment()
    }

    /// Completes when the lock may no longer be relied on, before anybody else can have it.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn lost(&self) {
        loop {
            // Interest begins before the look, so that a loss right after it is not missed.
            let lost = self.0.lost.notified();
            let left = self.remaining();
            if left.is_zero() {
                return;
            }
            tokio::select! {
                () = lost => {}
                () = clock::sleep(left) => {}
            }
        }
    }

    pub(super) fn is_lost(&self) -> bool {
        clock::moment() >= self.deadline()
    }

    /// Until when the lock may be relied on.
    pub(super) fn deadline(&self) -> Moment {
        Moment::from_nanos(self.0.deadline.load(Ordering::Acquire))
    }

    /// Whether it was [lost](Self::lose), which is final.
    pub(super) fn has_ended(&self) -> bool {
        self.deadline() == Moment::PAST
    }

    /// The lock was had, and may be relied on until then.
    pub(super) fn begin(&self, deadline: Moment) {
        self.0.deadline.store(deadline.nanos(), Ordering::Release);
    }

    /// The lock may be relied on until then, unless it has been lost meanwhile.
    pub(super) fn extend(&self, deadline: Moment) {
        let later =
            |held| (held != Moment::PAST.nanos() && held < deadline.nanos()).then_some(deadline.nanos());
        let _lost_or_later = self.0.deadline.fetch_update(Ordering::AcqRel, Ordering::Acquire, later);
    }

    /// The lock may not be relied on any more; whether it could until now.
    pub(super) fn lose(&self) -> bool {
        let before = self.0.deadline.swap(Moment::PAST.nanos(), Ordering::AcqRel);
        self.0.lost.notify_waiters();
        before != Moment::PAST.nanos()
    }

    pub(super) fn fence(&self, token: FencingToken) {
        self.0.token.store(token.get(), Ordering::Release);
    }
}
