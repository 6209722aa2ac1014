//! The lock master inside this process, of the embedded store: no server, nothing that waits. Locks are never evicted.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::{
    Acquire, Answer, Counter, Extend, FencingToken, Freed, Held, LockMaster, MasterTime, Mint, Owned,
};
use crate::clock::{self, Moment};
use crate::error::Result;
use crate::key::{Key, KeyBytes};
use crate::lock::holders::Holders;
use crate::lock::sharing::Sharing;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct EmbeddedMaster(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    locks: HashMap<KeyBytes, Holders>,
    counter: u64,
}

/// Above this many locks, expired ones that nobody asks for again are removed.
const SWEPT_FROM: usize = 1024;

impl EmbeddedMaster {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Table {
    /// The holders of a lock, those of today.
    fn holders(&mut self, key: &Key, now: Moment) -> &mut Holders {
        if self.locks.len() > SWEPT_FROM {
            self.locks.retain(|_, holders| {
                holders.purge(now);
                !holders.is_empty()
            });
        }
        let holders = self.locks.entry(key.0.clone()).or_insert_with(Holders::none);
        holders.purge(now);
        holders
    }

    /// The first of the tokens that a holder gets: whoever shares a lock carries the last of those who had it alone.
    fn mint(&mut self, mint: Mint, sharing: Sharing) -> FencingToken {
        if sharing == Sharing::Shared {
            return FencingToken::new(self.counter);
        }
        let first = mint.proposal.max(self.counter + 1);
        self.counter = first + mint.count - 1;
        FencingToken::new(first)
    }

    fn forget_free(&mut self, key: &Key) {
        if self.locks.get(&key.0).is_some_and(Holders::is_empty) {
            self.locks.remove(&key.0);
        }
    }
}

impl LockMaster for EmbeddedMaster {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        let Acquire { lock, ttl, mint, .. } = request;
        let now = clock::moment();
        let mut table = self.table();
        let holders = table.holders(lock.key, now);
        if holders.until(lock.value).is_none() && !holders.admit(lock.sharing) {
            let left = holders.free_at(lock.sharing).map_or(Duration::ZERO, |free_at| free_at - now);
            return Ok(Answer::Held(Held { left, place: None, at: MasterTime(now.micros()) }));
        }
        holders.set(lock.value, lock.sharing, now + *ttl);
        let token = mint.map(|mint| table.mint(mint, lock.sharing));
        Ok(Answer::Granted { token })
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        let now = clock::moment();
        let mut table = self.table();
        let extend = |Extend { lock, ttl }: &Extend<'_>| {
            let holders = table.holders(lock.key, now);
            let until = holders.until(lock.value);
            if until.is_some() {
                holders.set(lock.value, lock.sharing, now + *ttl);
            }
            table.forget_free(lock.key);
            until.map(|until| until - now)
        };
        locks.iter().map(extend).map(Ok).collect()
    }

    async fn raise(&self, lock: Owned<'_>, _counter: Counter, token: FencingToken) -> Result<bool> {
        let mut table = self.table();
        let ours = table.holders(lock.key, clock::moment()).until(lock.value).is_some();
        table.forget_free(lock.key);
        if ours {
            table.counter = table.counter.max(token.get());
        }
        Ok(ours)
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        let mut table = self.table();
        let had = table.holders(lock.key, clock::moment()).remove(lock.value);
        table.forget_free(lock.key);
        Ok(if had { Freed::Free } else { Freed::NotHeld })
    }
}
