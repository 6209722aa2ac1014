//! Latches of one process; the same steps as the scripts.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use super::gate::{Gate, Generation};
use crate::clock::{self, Instant};
use crate::key::{Key, KeyBytes};
use crate::lock::LockValue;

/// All latches of an embedded store.
#[derive(Debug, Default)]
pub(crate) struct Latches {
    latches: HashMap<KeyBytes, Latch>,
    /// The greatest generation so far, so that none comes twice.
    last: i64,
}

#[derive(Debug)]
struct Latch {
    gate: Gate,
    total: u32,
    by: LockValue,
    counted: HashSet<Box<[u8]>>,
    deadline: Instant,
}

/// What a call came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Set {
    Begun,
    /// A count is under way, so many are missing.
    UnderWay(u32),
}

impl Latch {
    fn left(&self) -> u32 {
        self.total.saturating_sub(u32::try_from(self.counted.len()).unwrap_or(u32::MAX))
    }

    fn is_open(&self) -> bool {
        self.gate.completed == self.gate.generation
    }
}

impl Latches {
    fn live(&mut self, key: &Key) -> Option<&mut Latch> {
        let now = clock::now();
        // Latches of keys that nobody asks for again must not pile up.
        if self.latches.len() > 1024 {
            self.latches.retain(|_, latch| latch.deadline > now);
        }
        self.latches.get_mut(&key.0).filter(|latch| latch.deadline > now)
    }

    pub(super) fn set(&mut self, key: &Key, count: u32, life: Duration, by: LockValue) -> Set {
        let earlier = match self.live(key) {
            Some(latch) if latch.by == by => return Set::Begun,
            Some(latch) if !latch.is_open() => return Set::UnderWay(latch.left()),
            Some(latch) => latch.gate.generation,
            None => Generation(0),
        };
        self.last += 1;
        let generation = Generation(self.last);
        let completed = if count == 0 { generation } else { earlier };
        let gate = Gate { generation, completed };
        let deadline = clock::now() + life;
        let latch = Latch { gate, total: count, by, counted: HashSet::new(), deadline };
        self.latches.insert(key.0.clone(), latch);
        Set::Begun
    }

    /// What is left; nothing when there is no latch.
    pub(super) fn count_down(
        &mut self,
        key: &Key,
        meant: Generation,
        id: &[u8],
        life: Duration,
    ) -> Option<u32> {
        let latch = self.live(key)?;
        if latch.gate.generation != meant || latch.is_open() {
            return Some(0);
        }
        latch.counted.insert(id.into());
        latch.deadline = clock::now() + life;
        let left = latch.left();
        if left == 0 {
            latch.gate.completed = meant;
            latch.counted = HashSet::new();
        }
        Some(left)
    }

    pub(super) fn look(&mut self, key: &Key) -> Option<(Gate, u32)> {
        self.live(key).map(|latch| (latch.gate, if latch.is_open() { 0 } else { latch.left() }))
    }
}
