//! What goes from hand to hand in a process: the lock itself, or the duty to ask for it.

use std::time::Duration;

use tokio::runtime::Handle;

use super::gate::Wants;
use crate::clock::{self, Moment};
use crate::error::Result;
use crate::key::Key;
use crate::lock::FencingToken;
use crate::lock::inbox::Listener;
use crate::lock::master::{CLAIM, Freed, LockMaster, MasterTime, Mint, Owned, TOKENS};
use crate::lock::options::{LockBuilder, validity};
use crate::lock::renewal::Registered;
use crate::lock::sharing::Sharing;
use crate::lock::value::LockValue;
use crate::{Keylatch, telemetry};

/// How often a lock goes from hand to hand before whoever waits elsewhere has it, and for how long. (Lock cohorting:
/// D. Dice, V. Marathe, N. Shavit, 2012.)
const MOST_HANDS: u64 = TOKENS;
const LONGEST_BURST: Duration = Duration::from_millis(5);

/// See the module.
#[derive(Debug)]
pub(super) enum Turn {
    Ask(Ask),
    Hold(Tenure),
}

/// A lock as this process has it from the master.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tenure {
    pub(super) value: LockValue,
    /// Until when it is proven to be ours.
    pub(super) until: Moment,
    /// What the master was asked for, and gives with each extension.
    ttl: Duration,
    /// The token of the next holder.
    pub(super) token: Option<FencingToken>,
    /// How many more holders there may be before others have their turn, and until when.
    hands: u64,
    burst_ends: Moment,
}

/// A lock that is asked for, and what was heard of it.
#[derive(Debug)]
pub(super) struct Ask {
    pub(super) value: LockValue,
    /// What it is queued with.
    pub(super) mint: Option<Mint>,
    /// Whether the master may know the value.
    pub(super) is_known: bool,
    /// What we hold it under, and give up to whoever waits.
    pub(super) instead_of: Option<LockValue>,
    /// When a request was sent that the master answered by that time of its own clock.
    pub(super) heard: Option<(Moment, MasterTime)>,
    pub(super) listener: Option<Listener>,
}

impl Ask {
    pub(super) fn new(instead_of: Option<LockValue>) -> Self {
        let value = LockValue::new();
        Self { value, mint: None, is_known: false, instead_of, heard: None, listener: None }
    }
}

impl Tenure {
    /// A lock that was just had, with as many tokens as there may be holders, and so many who wait in this process.
    pub(super) fn new(
        value: LockValue,
        until: Moment,
        ttl: Duration,
        token: Option<FencingToken>,
        waiters: usize,
    ) -> Self {
        // Whoever comes later waits for the next time: otherwise those who come back at once would have it twice.
        let hands = MOST_HANDS.min(waiters as u64 + 1);
        Self { value, until, ttl, token, hands, burst_ends: clock::moment() + LONGEST_BURST }
    }

    /// The next holder has it.
    pub(super) fn taken(&mut self) -> Option<FencingToken> {
        self.hands = self.hands.saturating_sub(1);
        let token = self.token;
        self.token = token.map(|token| token.after(1));
        token
    }

    /// Whether the next one can hold it as it is. Not for another time: masters prolong it by what it was asked for, and an
    /// extension for one holder must not shorten what another relies on.
    fn suits(&self, wants: Wants) -> bool {
        let now = clock::moment();
        let fits = wants.ttl == self.ttl && (!wants.fence || self.token.is_some());
        self.hands > 0 && now < self.burst_ends && fits && is_long(self.until - now, wants.ttl)
    }
}

/// Whether so much of a lease is enough to begin with: it is extended soon.
pub(super) fn is_long(left: Duration, ttl: Duration) -> bool {
    left >= (validity(ttl) / 2).min(CLAIM / 2)
}

impl Turn {
    /// Nobody has asked yet.
    pub(super) fn fresh() -> Self {
        Self::Ask(Ask::new(None))
    }

    /// As it can be used by somebody who wants that: what cannot be held any longer is given up to others or asked for anew.
    pub(super) fn suited_to(self, wants: Wants) -> Self {
        match self {
            Self::Hold(tenure) if !tenure.suits(wants) => Self::Ask(Ask::new(Some(tenure.value))),
            turn => turn,
        }
    }

    fn is_clean(&self) -> bool {
        matches!(self, Self::Ask(Ask { is_known: false, instead_of: None, .. }))
    }

    /// Whether something that was asked for may be carried out after it was given up with that answer.
    fn may_come_late(&self, home: &Keylatch, freed: Freed) -> bool {
        match self {
            Self::Ask(ask) => home.lock_master().may_come_late(ask.value) || freed == Freed::NotHeld,
            Self::Hold(tenure) => home.lock_master().may_come_late(tenure.value),
        }
    }

    /// Tells the master that we neither want it nor hold it.
    async fn give_up(&self, home: &Keylatch, key: &Key, sharing: Sharing) -> Result<Freed> {
        let master = home.lock_master();
        let owned = |value| Owned { key, value, sharing };
        match self {
            Self::Hold(tenure) => master.release(owned(tenure.value)).await,
            Self::Ask(ask) => {
                let mut freed = Freed::NotHeld;
                if ask.is_known {
                    freed = master.leave(owned(ask.value), ask.mint).await?;
                }
                if let Some(value) = ask.instead_of {
                    freed = master.release(owned(value)).await?;
                }
                Ok(freed)
            }
        }
    }
}

/// Whoever has the turn. Dropping it gives it to the next one in this process, or tells the master in a task of its own.
#[derive(Debug)]
pub(super) struct Active {
    home: Keylatch,
    key: Key,
    sharing: Sharing,
    ttl: Duration,
    epoch: u64,
    /// Where a drop outside of the runtime can send what must still be sent.
    runtime: Handle,
    /// `None` once it is given away.
    pub(super) turn: Option<Turn>,
    registered: Option<Registered>,
}

impl Active {
    pub(super) fn new(options: &LockBuilder, runtime: &Handle, epoch: u64, turn: Turn) -> Self {
        Self {
            home: options.home.clone(),
            key: options.key.clone(),
            sharing: options.sharing,
            ttl: options.ttl,
            epoch,
            runtime: runtime.clone(),
            turn: Some(turn),
            registered: None,
        }
    }

    pub(super) fn epoch(&self) -> u64 {
        self.epoch
    }

    /// What is written at the key.
    pub(super) fn value(&self) -> LockValue {
        match &self.turn {
            Some(Turn::Hold(tenure)) => tenure.value,
            Some(Turn::Ask(ask)) => ask.value,
            None => LockValue::new(),
        }
    }

    /// The lock was extended meanwhile, or lost.
    pub(super) fn held_until(&mut self, deadline: Moment) {
        if let Some(Turn::Hold(tenure)) = &mut self.turn {
            tenure.until = if deadline == Moment::PAST { deadline } else { tenure.until.max(deadline) };
        }
    }

    /// Counts as held until it is known to be free.
    pub(super) fn keep_registered(&mut self, registered: Option<Registered>) {
        self.registered = registered;
    }

    /// Gives the lock to the next one in this process, else frees it at the master.
    pub(super) async fn release(mut self, registered: Option<Registered>) -> Result<Freed> {
        self.registered = registered;
        let Some(turn) = self.turn.take() else { return Ok(Freed::NotHeld) };
        // The next one asks for what had ended, and may not get it.
        let is_ours = matches!(&turn, Turn::Hold(tenure) if clock::moment() < tenure.until);
        match self.home.gates().hand_on(&self.key, self.epoch, turn) {
            Ok(()) => return Ok(if is_ours { Freed::HandedOver } else { Freed::NotHeld }),
            Err(turn) => self.turn = Some(turn),
        }
        let freed = match &self.turn {
            Some(turn) => turn.give_up(&self.home, &self.key, self.sharing).await?,
            None => Freed::NotHeld,
        };
        if let Some(turn) = self.turn.take()
            && turn.may_come_late(&self.home, freed)
        {
            let again = give_up_again(self.home.clone(), self.key.clone(), self.sharing, turn);
            self.runtime.spawn(again);
        }
        self.home.gates().leave(&self.key, self.epoch);
        Ok(freed)
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let Some(turn) = self.turn.take() else { return };
        let Err(turn) = self.home.gates().hand_on(&self.key, self.epoch, turn) else { return };
        if turn.is_clean() {
            return self.home.gates().leave(&self.key, self.epoch);
        }
        let reaper = reap(
            Place { home: self.home.clone(), key: self.key.clone(), epoch: self.epoch },
            self.sharing,
            turn,
            self.ttl,
            self.registered.take(),
        );
        // If the runtime has ended, the task is dropped at once: the lock expires by itself.
        self.runtime.spawn(reaper);
    }
}

/// Left when it is dropped, so that others can ask, also if the runtime ends.
struct Place {
    home: Keylatch,
    key: Key,
    epoch: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.home.gates().leave(&self.key, self.epoch);
    }
}

/// Gives back what may have been taken. While the server is down it is tried again, until the lock has expired; the others of
/// this process need not wait for that.
async fn reap(place: Place, sharing: Sharing, turn: Turn, ttl: Duration, _registered: Option<Registered>) {
    const FIRST_PAUSE: Duration = Duration::from_millis(5);
    const LONGEST_PAUSE: Duration = Duration::from_millis(200);
    let (home, key) = (place.home.clone(), place.key.clone());
    let expires = clock::moment() + ttl;
    let mut place = Some(place);
    let mut pause = FIRST_PAUSE;
    let freed = loop {
        let error = match turn.give_up(&home, &key, sharing).await {
            Ok(freed) => break freed,
            Err(error) => error,
        };
        drop(place.take());
        if clock::moment() + pause >= expires {
            return telemetry::unlock_failed(&key, &error);
        }
        clock::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    };
    drop(place);
    if turn.may_come_late(&home, freed) {
        give_up_again(home, key, sharing, turn).await;
    }
}

/// Gives up again what a late request may have taken.
async fn give_up_again(home: Keylatch, key: Key, sharing: Sharing, turn: Turn) {
    for later in OVERTAKEN {
        clock::sleep(later).await;
        // As good as the first: what cannot be told now ends by itself.
        drop(turn.give_up(&home, &key, sharing).await);
    }
}

/// When what was asked for and given up is given up again: the request may have been sent over another connection of the pool
/// than what takes it back, or over one that was lost since, and come later.
const OVERTAKEN: [Duration; 3] =
    [Duration::from_millis(20), Duration::from_millis(200), Duration::from_secs(2)];
