//! The lock master inside this process, of the embedded store: no server, nothing that waits. Locks are never evicted.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use super::{
    Acquire, Answer, CLAIM, Counter, Extend, FencingToken, Freed, Held, LockMaster, MasterTime, Mint, Owned,
};
use crate::clock::{self, Moment};
use crate::error::Result;
use crate::key::KeyBytes;
use crate::lock::value::LockValue;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EmbeddedMaster {
    locks: Mutex<HashMap<KeyBytes, Locked>>,
    counter: AtomicU64,
}

#[derive(Debug)]
struct Locked {
    value: LockValue,
    until: Moment,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    value: LockValue,
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
            locks.retain(|_, locked| locked.until > now || !locked.waiters.is_empty());
        }
        let locked = match locks.entry(lock.key.0.clone()) {
            Entry::Vacant(free) => {
                free.insert(Locked { value: lock.value, until: now + ttl, waiters: VecDeque::new() });
                return Taken::Granted;
            }
            Entry::Occupied(locked) => locked.into_mut(),
        };
        if locked.until <= now {
            // The first in the queue comes first.
            locked.hand_over(lock.value, now);
        }
        if locked.value == lock.value {
            locked.until = now + ttl;
            return Taken::Granted;
        }
        let left = locked.until - now;
        let Some(wake) = wake else { return Taken::Held { left, place: 0 } };
        let place =
            locked.waiters.iter().position(|waiter| waiter.value == lock.value).unwrap_or_else(|| {
                locked.waiters.push_back(Waiter { value: lock.value, wake: Arc::clone(wake) });
                locked.waiters.len() - 1
            });
        Taken::Held { left, place: place + 1 }
    }

    /// Frees the lock, or gives it to the first in its queue.
    pub(in crate::lock) fn free(&self, lock: Owned<'_>, now: Moment) -> Freed {
        let mut locks = self.locks();
        let Some(locked) = locks.get_mut(&lock.key.0) else { return Freed::NotHeld };
        if locked.value != lock.value || locked.until <= now {
            return Freed::NotHeld;
        }
        if locked.waiters.is_empty() {
            locks.remove(&lock.key.0);
            return Freed::Free;
        }
        let next = locked.waiters.front().map_or(lock.value, |first| first.value);
        locked.hand_over(next, now);
        Freed::HandedOver
    }

    /// Leaves the queue, and frees the lock if it has become ours.
    pub(in crate::lock) fn give_up(&self, lock: Owned<'_>, now: Moment) -> Freed {
        if let Some(locked) = self.locks().get_mut(&lock.key.0) {
            locked.waiters.retain(|waiter| waiter.value != lock.value);
        }
        self.free(lock, now)
    }

    /// The first of so many tokens.
    pub(in crate::lock) fn mint(&self, mint: Mint) -> FencingToken {
        let first = |counter: u64| mint.proposal.max(counter + 1);
        let next = |counter| Some(first(counter) + mint.count - 1);
        let before = self.counter.fetch_update(Ordering::AcqRel, Ordering::Acquire, next);
        FencingToken::new(first(before.unwrap_or_default()))
    }
}

impl Locked {
    /// To the first in the queue, for as long as a claim lasts; to `asking` if nobody waits.
    fn hand_over(&mut self, asking: LockValue, now: Moment) {
        let Some(next) = self.waiters.pop_front() else {
            self.value = asking;
            return;
        };
        self.value = next.value;
        self.until = now + CLAIM;
        next.wake.notify_one();
        // Whoever is next now looks how long that takes.
        if let Some(first) = self.waiters.front() {
            first.wake.notify_one();
        }
    }
}

impl LockMaster for EmbeddedMaster {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        let now = clock::moment();
        Ok(match self.take(request.lock, request.ttl, now, None) {
            Taken::Granted => Answer::Granted { token: request.mint.map(|mint| self.mint(mint)) },
            Taken::Held { left, .. } => {
                Answer::Held(Held { left, place: None, at: MasterTime(now.micros()) })
            }
        })
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        let now = clock::moment();
        let mut held = self.locks();
        let extend = |extend: &Extend<'_>| {
            let locked = held.get_mut(&extend.lock.key.0)?;
            let left = locked.until - now;
            if locked.value != extend.lock.value || left.is_zero() {
                return None;
            }
            locked.until = now + extend.ttl;
            Some(left)
        };
        locks.iter().map(extend).map(Ok).collect()
    }

    async fn raise(&self, lock: Owned<'_>, _counter: Counter, token: FencingToken) -> Result<bool> {
        let now = clock::moment();
        let locks = self.locks();
        let ours = locks.get(&lock.key.0).is_some_and(|it| it.value == lock.value && it.until > now);
        if ours {
            self.counter.fetch_max(token.get(), Ordering::AcqRel);
        }
        Ok(ours)
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        Ok(self.free(lock, clock::moment()))
    }

    async fn leave(&self, lock: Owned<'_>, _mint: Option<Mint>) -> Result<Freed> {
        Ok(self.give_up(lock, clock::moment()))
    }
}
