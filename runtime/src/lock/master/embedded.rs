//! The lock master inside this process, of the embedded store: no server, nothing that waits. Locks are never evicted.

use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{Acquire, Answer, CLAIM, Extend, FencingToken, Freed, Held, LockMaster, MasterTime, Mint, Owned};
use crate::clock::{self, Moment};
use crate::error::Result;
use crate::key::KeyBytes;
use crate::lock::holders::Holders;
use crate::lock::sharing::Sharing;
use crate::lock::value::LockValue;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EmbeddedMaster {
    locks: Mutex<HashMap<KeyBytes, Locked>>,
    counter: AtomicU64,
}

#[derive(Debug)]
struct Locked {
    holders: Holders,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    value: LockValue,
    sharing: Sharing,
    wake: Arc<Notify>,
}

/// What came of [`EmbeddedMaster::take`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::lock) enum Taken {
    Granted,
    Held {
        left: Duration,
        /// Our place in the queue, from 1; 0 if we are not in it.
        place: usize,
    },
}

/// Above this many locks, expired ones that nobody asks for again are removed.
const SWEPT_FROM: usize = 1024;

impl EmbeddedMaster {
    fn locks(&self) -> MutexGuard<'_, HashMap<KeyBytes, Locked>> {
        self.locks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the lock if it is free, or ours already. Else queues with `wake`, which is told when it is ours, for as long as a
    /// claim lasts.
    pub(in crate::lock) fn take(
        &self,
        lock: Owned<'_>,
        ttl: Duration,
        now: Moment,
        wake: Option<&Arc<Notify>>,
    ) -> Taken {
        let mut locks = self.locks();
        if locks.len() > SWEPT_FROM {
            locks.retain(|_, locked| {
                locked.holders.purge(now);
                !locked.is_free()
            });
        }
        let locked = locks.entry(lock.key.0.clone()).or_insert_with(Locked::free);
        locked.holders.purge(now);
        if locked.holders.until(lock.value).is_none() {
            // Those who wait come first.
            locked.hand_over(now);
        }
        let own = locked.holders.until(lock.value).is_some();
        if own || locked.waiters.is_empty() && locked.holders.admit(lock.sharing) {
            locked.holders.set(lock.value, lock.sharing, now + ttl);
            return Taken::Granted;
        }
        let left = locked.holders.free_at(lock.sharing).map_or(Duration::ZERO, |free_at| free_at - now);
        let Some(wake) = wake else { return Taken::Held { left, place: 0 } };
        let place =
            locked.waiters.iter().position(|waiter| waiter.value == lock.value).unwrap_or_else(|| {
                let Owned { value, sharing, .. } = lock;
                locked.waiters.push_back(Waiter { value, sharing, wake: Arc::clone(wake) });
                locked.waiters.len() - 1
            });
        Taken::Held { left, place: place + 1 }
    }

    /// Frees the lock, or gives it to the first in its queue.
    pub(in crate::lock) fn free(&self, lock: Owned<'_>, now: Moment) -> Freed {
        let mut locks = self.locks();
        let Some(locked) = locks.get_mut(&lock.key.0) else { return Freed::NotHeld };
        locked.holders.purge(now);
        let had = locked.holders.remove(lock.value);
        let handed = locked.hand_over(now);
        if locked.is_free() {
            locks.remove(&lock.key.0);
        }
        match (had, handed) {
            (false, _) => Freed::NotHeld,
            (true, 0) => Freed::Free,
            (true, _) => Freed::HandedOver,
        }
    }

    /// Leaves the queue, and frees the lock if it has become ours.
    pub(in crate::lock) fn give_up(&self, lock: Owned<'_>, now: Moment) -> Freed {
        if let Some(locked) = self.locks().get_mut(&lock.key.0) {
            locked.waiters.retain(|waiter| waiter.value != lock.value);
        }
        self.free(lock, now)
    }

    /// The token of a new holder: whoever shares a lock carries the last of those who had it alone.
    pub(in crate::lock) fn token(&self, sharing: Sharing, mint: Mint) -> FencingToken {
        match sharing {
            Sharing::Shared => FencingToken::new(self.counter.load(Ordering::Acquire)),
            Sharing::Alone | Sharing::Permits(_) => self.mint(mint),
        }
    }

    /// The first of so many tokens.
    fn mint(&self, mint: Mint) -> FencingToken {
        let first = |counter: u64| mint.proposal.max(counter + 1);
        let next = |counter| Some(first(counter) + mint.count - 1);
        let before = self.counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        FencingToken::new(first(before.unwrap_or_default()))
    }
}

impl Locked {
    fn free() -> Self {
        Self { holders: Holders::none(), waiters: VecDeque::new() }
    }

    fn is_free(&self) -> bool {
        self.holders.is_empty() && self.waiters.is_empty()
    }

    /// To those at the head of the queue who may have it, for as long as a claim lasts; how many.
    fn hand_over(&mut self, now: Moment) -> usize {
        let mut handed = 0;
        while self.waiters.front().is_some_and(|first| self.holders.admit(first.sharing)) {
            let Some(next) = self.waiters.pop_front() else { break };
            self.holders.set(next.value, next.sharing, now + CLAIM);
            next.wake.notify_one();
            handed += 1;
        }
        // Whoever is next now looks how long that takes.
        if let Some(first) = self.waiters.front().filter(|_| handed > 0) {
            first.wake.notify_one();
        }
        handed
    }
}

impl LockMaster for EmbeddedMaster {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        let now = clock::moment();
        if let Some(value) = request.instead_of {
            let _to_whoever_waits = self.free(Owned { value, ..request.lock }, now);
        }
        Ok(match self.take(request.lock, request.ttl, now, None) {
            Taken::Granted => {
                let token = |mint| self.token(request.lock.sharing, mint);
                Answer::Granted { token: request.mint.map(token) }
            }
            Taken::Held { left, .. } => {
                Answer::Held(Held { left, place: None, at: MasterTime(now.micros()) })
            }
        })
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        let now = clock::moment();
        let mut held = self.locks();
        let extend = |Extend { lock, ttl }: &Extend<'_>| {
            let holders = &mut held.get_mut(&lock.key.0)?.holders;
            let until = holders.until(lock.value).filter(|until| *until > now)?;
            holders.set(lock.value, lock.sharing, now + *ttl);
            Some(until - now)
        };
        locks.iter().map(extend).map(Ok).collect()
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        Ok(self.free(lock, clock::moment()))
    }

    async fn leave(&self, lock: Owned<'_>, _mint: Option<Mint>) -> Result<Freed> {
        Ok(self.give_up(lock, clock::moment()))
    }
}
