//! Who stands for which lock in this process. One of them asks the servers, or holds the lock; the others wait for their turn,
//! in the order in which they came.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::oneshot;

use super::turn::Turn;
use crate::clock::Moment;
use crate::key::{Key, KeyBytes};
use crate::lock::lease::Lease;
use crate::lock::sync;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<KeyBytes, Gate>>);

#[derive(Debug, Default)]
struct Gate {
    /// Grows when somebody takes the place of one that has lost the lock and does not go.
    epoch: u64,
    holder: Option<Lease>,
    waiters: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    wants: Wants,
    turn: oneshot::Sender<(u64, Turn)>,
}

/// What somebody who waits needs of a lock.
#[derive(Debug, Clone, Copy)]
pub(super) struct Wants {
    pub(super) ttl: Duration,
    pub(super) fence: bool,
}

/// Where a caller stands.
#[derive(Debug)]
pub(super) enum Entered {
    /// Nobody else stands for the lock, or one that has lost it; the epoch.
    First(u64),
    /// Others do; the turn will come.
    Behind(oneshot::Receiver<(u64, Turn)>),
    /// Others do, and the caller does not wait.
    Refused,
}

impl Gate {
    /// A new epoch, if who has the turn has lost the lock.
    fn take_over(&mut self) -> Option<u64> {
        self.holder.take_if(|lease| lease.is_lost())?;
        self.epoch += 1;
        Some(self.epoch)
    }
}

impl Gates {
    fn gates(&self) -> MutexGuard<'_, HashMap<KeyBytes, Gate>> {
        sync::lock(&self.0)
    }

    /// Comes for a lock. Without `wants` it does not wait.
    pub(super) fn enter(&self, key: &Key, wants: Option<Wants>) -> Entered {
        match self.gates().entry(key.0.clone()) {
            Entry::Vacant(nobody) => {
                nobody.insert(Gate::default());
                Entered::First(0)
            }
            Entry::Occupied(mut gate) => {
                if gate.get().waiters.is_empty()
                    && let Some(epoch) = gate.get_mut().take_over()
                {
                    return Entered::First(epoch);
                }
                let Some(wants) = wants else { return Entered::Refused };
                let (turn, taken) = oneshot::channel();
                gate.get_mut().waiters.push_back(Waiter { wants, turn });
                Entered::Behind(taken)
            }
        }
    }

    /// Who has the turn holds the lock, or, with `None`, asks for it.
    pub(super) fn holds(&self, key: &Key, epoch: u64, lease: Option<Lease>) {
        if let Some(gate) = self.gates().get_mut(&key.0).filter(|gate| gate.epoch == epoch) {
            gate.holder = lease;
        }
    }

    /// How many wait.
    pub(super) fn waiters(&self, key: &Key) -> usize {
        self.gates().get(&key.0).map_or(0, |gate| gate.waiters.len())
    }

    /// When the lease of who has the turn ends, if it is not extended.
    pub(super) fn ends(&self, key: &Key) -> Option<Moment> {
        self.gates().get(&key.0)?.holder.as_ref().map(Lease::deadline)
    }

    /// Takes the turn from somebody who has lost the lock and is still there; the new epoch.
    pub(super) fn take_over(&self, key: &Key) -> Option<u64> {
        self.gates().get_mut(&key.0)?.take_over()
    }

    /// Gives the turn to the first who still waits, as it suits that one.
    ///
    /// # Errors
    /// Gives it back if nobody waits, or if it has been taken over.
    pub(super) fn hand_on(&self, key: &Key, epoch: u64, mut turn: Turn) -> Result<(), Turn> {
        let mut gates = self.gates();
        let Some(gate) = gates.get_mut(&key.0).filter(|gate| gate.epoch == epoch) else { return Err(turn) };
        while let Some(next) = gate.waiters.pop_front() {
            gate.holder = None;
            turn = match next.turn.send((epoch, turn.suited_to(next.wants))) {
                Ok(()) => return Ok(()),
                // It does not wait any more.
                Err((_, turn)) => turn,
            };
        }
        Err(turn)
    }

    /// Nothing is asked for or held any more. The next one asks.
    pub(super) fn leave(&self, key: &Key, epoch: u64) {
        let mut turn = Turn::fresh();
        loop {
            turn = match self.hand_on(key, epoch, turn) {
                Ok(()) => return,
                Err(turn) => turn,
            };
            let mut gates = self.gates();
            if let Entry::Occupied(gate) = gates.entry(key.0.clone())
                && gate.get().epoch == epoch
            {
                // Somebody may have come since.
                if !gate.get().waiters.is_empty() {
                    continue;
                }
                gate.remove();
            }
            return;
        }
    }
}
