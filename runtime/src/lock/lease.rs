//! What a holder can know of its lock.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::select_all;
use tokio::sync::Notify;

use super::{FencingToken, LockError, Sharing};
use crate::Keylatch;
use crate::clock::{self, Moment};
use crate::instance::WeakKeylatch;
use crate::key::Key;
use crate::telemetry;

/// A view of a held lock. Cheap to clone; does not keep the lock.
#[derive(Debug, Clone)]
pub struct Lease(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    home: WeakKeylatch,
    key: Key,
    sharing: Sharing,
    /// Of several locks at once, each one's own.
    parts: Box<[Lease]>,
    /// Until when the lock may be relied on; [`Moment::PAST`] once it is lost.
    deadline: AtomicU64,
    /// 0 for none.
    token: AtomicU64,
    lost: Notify,
}

impl Lease {
    /// Of a lock that is not had yet.
    pub(super) fn new(home: &Keylatch, key: Key, sharing: Sharing) -> Self {
        let deadline = AtomicU64::new(Moment::PAST.nanos());
        Self(Arc::new(Shared {
            home: home.downgrade(),
            key,
            sharing,
            parts: Box::default(),
            deadline,
            token: AtomicU64::new(0),
            lost: Notify::new(),
        }))
    }

    /// Of several locks, at least one: as good as the worst of them.
    pub(super) fn over(parts: Box<[Self]>) -> Self {
        let first = &parts[0].0;
        Self(Arc::new(Shared {
            home: first.home.clone(),
            key: first.key.clone(),
            sharing: first.sharing,
            deadline: AtomicU64::new(Moment::NEVER.nanos()),
            token: AtomicU64::new(0),
            lost: Notify::new(),
            parts,
        }))
    }

    pub(super) fn home(&self) -> &WeakKeylatch {
        &self.0.home
    }

    pub(super) fn sharing(&self) -> Sharing {
        self.0.sharing
    }

    /// The leases of the single locks, in the order in which everybody takes them: this one itself, unless it is of
    /// [several](Keylatch::lock_all).
    pub fn parts(&self) -> impl Iterator<Item = &Self> {
        let single = self.0.parts.is_empty().then_some(self);
        single.into_iter().chain(&self.0.parts)
    }

    /// The lock's full key; of several locks, the first one's.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.0.key
    }

    /// The fencing token of this holder; `None` if none was [asked for](super::LockBuilder::fence), and of several locks, each
    /// of which has its own: see [`parts`](Self::parts).
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
        let lost = || self.parts().find(|part| part.is_lost()).unwrap_or(self);
        if self.is_lost() { Err(LockError::Lost { key: lost().0.key.clone() }) } else { Ok(()) }
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
        if self.0.parts.is_empty() {
            return self.ended().await;
        }
        // Parts have no parts of their own.
        let parts = self.0.parts.iter().map(|part| Box::pin(part.ended()));
        tokio::select! {
            () = self.ended() => {}
            _ = select_all(parts) => {}
        }
    }

    async fn ended(&self) {
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
        let own = Moment::from_nanos(self.0.deadline.load(Ordering::Acquire));
        self.0.parts.iter().map(Self::deadline).fold(own, Moment::min)
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

    /// Tells of what is lost by now and nobody has told of yet: who holds it may notice that before whoever extends it does.
    pub(super) fn tell_of_loss(&self, now: Moment) {
        let own = std::slice::from_ref(self);
        let parts = if self.0.parts.is_empty() { own } else { &*self.0.parts };
        for part in parts.iter().filter(|part| part.deadline() <= now) {
            if part.lose() {
                telemetry::lock_lost(part.key());
            }
        }
    }

    pub(super) fn fence(&self, token: FencingToken) {
        self.0.token.store(token.get(), Ordering::Release);
    }
}
