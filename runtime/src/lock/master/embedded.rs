//! The lock master inside this process, of the embedded store: no server, nothing that waits. Locks are never evicted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{Acquire, Answer, Counter, Extend, FencingToken, Freed, Held, LockMaster, MasterTime, Owned};
use crate::clock::{self, Moment};
use crate::error::Result;
use crate::key::{Key, KeyBytes};
use crate::lock::value::LockValue;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EmbeddedMaster(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    locks: HashMap<KeyBytes, Locked>,
    counter: u64,
}

#[derive(Debug, Clone, Copy)]
struct Locked {
    value: LockValue,
    until: Moment,
}

/// Above this many locks, expired ones that nobody asks for again are removed.
const SWEPT_FROM: usize = 1024;

impl EmbeddedMaster {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    fn owned(&mut self, lock: Owned<'_>, now: Moment) -> Option<&mut Locked> {
        let held = self.locks.get_mut(&lock.key.0)?;
        (held.value == lock.value && held.until > now).then_some(held)
    }

    fn holder(&self, key: &Key, now: Moment) -> Option<Locked> {
        self.locks.get(&key.0).copied().filter(|held| held.until > now)
    }
}

impl LockMaster for EmbeddedMaster {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        let Acquire { lock, ttl, mint, .. } = request;
        let now = clock::moment();
        let mut table = self.table();
        if let Some(held) = table.holder(lock.key, now).filter(|held| held.value != lock.value) {
            let left = held.until - now;
            return Ok(Answer::Held(Held { left, place: None, at: MasterTime(now.micros()) }));
        }
        if table.locks.len() > SWEPT_FROM {
            table.locks.retain(|_, held| held.until > now);
        }
        table.locks.insert(lock.key.0.clone(), Locked { value: lock.value, until: now + *ttl });
        let token = mint.map(|mint| {
            let first = mint.proposal.max(table.counter + 1);
            table.counter = first + mint.count - 1;
            FencingToken::new(first)
        });
        Ok(Answer::Granted { token })
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        let now = clock::moment();
        let mut table = self.table();
        let extend = |extend: &Extend<'_>| {
            let held = table.owned(extend.lock, now)?;
            let left = held.until - now;
            held.until = now + extend.ttl;
            Some(left)
        };
        locks.iter().map(extend).map(Ok).collect()
    }

    async fn raise(&self, lock: Owned<'_>, _counter: Counter, token: FencingToken) -> Result<bool> {
        let mut table = self.table();
        let ours = table.owned(lock, clock::moment()).is_some();
        if ours {
            table.counter = table.counter.max(token.get());
        }
        Ok(ours)
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        let mut table = self.table();
        if table.owned(lock, clock::moment()).is_none() {
            return Ok(Freed::NotHeld);
        }
        table.locks.remove(&lock.key.0);
        Ok(Freed::Free)
    }
}
