//! A lock master in memory: the state machine that the scripts are on a real one, with a clock of its own.

use std::collections::HashMap;
use std::time::Duration;

use super::network::draw;
use crate::clock::{self, Instant};
use crate::lock::quorum::master::{Acquired, Ask, Extended, Ledger, Look, Owned, RunId, Token};
use crate::lock::value::LockValue;

/// What a server does wrong, in tests that must notice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Faults {
    /// Releases and prolongs whatever is at the key.
    pub(super) ignores_values: bool,
    /// Raises counters for those, too, who do not hold the key any more.
    pub(super) raises_for_all: bool,
    /// Raises counters that were forgotten as if they had been nothing.
    pub(super) raises_from_nothing: bool,
}

#[derive(Debug)]
pub(super) struct Server {
    index: usize,
    starts: u32,
    run: RunId,
    started: Instant,
    /// How fast its clock goes, and by how much it was set.
    rate: f64,
    ahead: f64,
    keys: HashMap<Vec<u8>, Entry>,
    counters: HashMap<Vec<u8>, Token>,
    ledger: Option<Ledger>,
    floor: Token,
    faults: Faults,
    /// How often, of a hundred times, a key has ended before its time.
    pub(super) forgets: u32,
    epoch: Instant,
}

#[derive(Debug)]
struct Entry {
    value: LockValue,
    /// By the server's clock, in seconds.
    ends: f64,
}

impl Server {
    pub(super) fn new(index: usize, rate: f64, faults: Faults) -> Self {
        let now = clock::now();
        Self {
            index,
            starts: 0,
            run: format!("{index}/0").into(),
            started: now,
            rate,
            ahead: 0.0,
            keys: HashMap::new(),
            counters: HashMap::new(),
            ledger: None,
            floor: 0,
            faults,
            forgets: 0,
            epoch: now,
        }
    }

    pub(super) fn run(&self) -> &RunId {
        &self.run
    }

    /// Everything is forgotten.
    pub(super) fn restart_empty(&mut self) {
        self.starts += 1;
        self.run = format!("{}/{}", self.index, self.starts).into();
        self.started = clock::now();
        self.keys.clear();
        self.counters.clear();
        self.ledger = None;
        self.floor = 0;
    }

    pub(super) fn set_clock(&mut self, seconds: f64) {
        self.ahead += seconds;
    }

    /// The values at all keys that have not ended.
    pub(super) fn held(&mut self) -> Vec<LockValue> {
        let now = self.time();
        self.keys.retain(|_, entry| entry.ends > now);
        self.keys.values().map(|entry| entry.value).collect()
    }

    fn time(&self) -> f64 {
        (clock::now() - self.epoch).as_secs_f64() * self.rate + self.ahead
    }

    fn holder(&mut self, ask: &Ask) -> Option<(LockValue, Duration)> {
        let now = self.time();
        let entry = self.keys.get(ask.key.as_bytes())?;
        if entry.ends <= now || self.forgets > 0 && draw(|rng| rng.u32(..100)) < self.forgets {
            self.keys.remove(ask.key.as_bytes());
            return None;
        }
        let left = Duration::from_secs_f64(entry.ends - now);
        Some((entry.value, Duration::from_millis(u64::try_from(left.as_millis()).unwrap())))
    }

    fn set(&mut self, ask: &Ask) {
        let entry = Entry { value: ask.value, ends: self.time() + ask.ttl.as_secs_f64() };
        self.keys.insert(ask.key.as_bytes().to_vec(), entry);
        if let Some(ledger) = &mut self.ledger {
            ledger.longest = ledger.longest.max(ask.ttl);
        }
    }

    fn is_ours(&mut self, ask: &Ask) -> bool {
        self.holder(ask).is_some_and(|(value, _)| value == ask.value || self.faults.ignores_values)
    }

    pub(super) fn acquire(&mut self, ask: &Ask, proposal: Token) -> Acquired {
        let Some(ledger) = self.ledger.clone() else { return Acquired::Unlisted };
        if let Some((value, left)) = self.holder(ask)
            && value != ask.value
        {
            return Acquired::Held { left };
        }
        self.set(ask);
        let before = self.counters.get(ask.key.as_bytes()).copied().unwrap_or(ledger.high);
        let counter = (before.max(self.floor) + 1).max(proposal) + ask.tokens.saturating_sub(1);
        if ask.tokens > 0 {
            self.count(ask, counter);
        }
        Acquired::Granted { counter, admitted: ledger.run }
    }

    pub(super) fn extend(&mut self, ask: &Ask, token: Token) -> Extended {
        match self.holder(ask) {
            Some((value, left)) if value == ask.value || self.faults.ignores_values => {
                self.set(ask);
                Extended::Kept { left }
            }
            Some(_) => Extended::Held,
            None => {
                self.set(ask);
                self.raise_to(ask, token);
                Extended::Repaired
            }
        }
    }

    pub(super) fn raise(&mut self, ask: &Ask, token: Token) -> Owned {
        if !self.is_ours(ask) && !self.faults.raises_for_all {
            return Owned::NotOurs;
        }
        self.raise_to(ask, token);
        Owned::Done
    }

    pub(super) fn release(&mut self, ask: &Ask) -> Owned {
        if !self.is_ours(ask) {
            return Owned::NotOurs;
        }
        self.keys.remove(ask.key.as_bytes());
        Owned::Done
    }

    pub(super) fn look(&self) -> Look {
        let age = (clock::now() - self.started).as_secs().saturating_sub(1);
        Look { run: self.run.clone(), uptime: Duration::from_secs(age), ledger: self.ledger.clone() }
    }

    pub(super) fn admit(&mut self, ledger: &Ledger, over: Option<&RunId>) -> Owned {
        if ledger.run != self.run || self.ledger.as_ref().map(|ledger| &ledger.run) != over {
            return Owned::NotOurs;
        }
        let high = self.ledger.as_ref().map_or(0, |ledger| ledger.high).max(ledger.high);
        self.floor = self.floor.max(high);
        self.ledger = Some(Ledger { high, ..ledger.clone() });
        Owned::Done
    }

    fn raise_to(&mut self, ask: &Ask, token: Token) {
        let before = self.counters.get(ask.key.as_bytes()).copied();
        let high = self.ledger.as_ref().map_or(0, |ledger| ledger.high);
        // One that is missing goes on from the highest there was.
        if before.unwrap_or(if self.faults.raises_from_nothing { 0 } else { high }) < token {
            self.count(ask, token);
        }
    }

    fn count(&mut self, ask: &Ask, counter: Token) {
        self.counters.insert(ask.key.as_bytes().to_vec(), counter);
        if let Some(ledger) = &mut self.ledger {
            ledger.high = ledger.high.max(counter);
        }
    }

    /// Counters of locks that nobody has used for long are forgotten.
    pub(super) fn forget_counters(&mut self) {
        self.counters.clear();
    }
}
