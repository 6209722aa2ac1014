//! The look-up of one call: reads the slot and its stamps, waits for the load of another, or claims the right to load.

mod together;
mod wait;

use std::pin::pin;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::at_hand::{self, Keep, States};
use super::decision::{Expected, Finding, Prefix, Stale, judge};
use super::dependencies::Recorder;
use super::lead::Lead;
use super::plan::{Mode, Plan};
use super::single_flight::{Moment, Role};
use crate::clock::{self, Instant};
use crate::codec::envelope::{self, Envelope};
use crate::error::Result;
use crate::key::{Key, stamp_of};
use crate::store::{Claim, ClaimRequest, Freshness, Lease, Stamp, StampState, StampStates, Store, Via};
use crate::telemetry;

pub(super) use together::being_loaded;
use wait::Shared;

/// How long a caller waits for the loads of others before it loads for itself, where no `load_timeout` is given.
const WAIT_LIMIT: Duration = Duration::from_secs(30);

/// What the flow is to do next.
pub(super) enum Step {
    /// Decode this envelope, and answer with it.
    Found(Bytes),
    /// Run the body.
    Load(Right),
}

/// What a load may do with its result.
pub(super) enum Right {
    /// Store it, if nothing was invalidated meanwhile.
    Store(Lead),
    /// Only answer its caller with it.
    Alone(&'static str),
    /// The same because a write is under way, so that the body had better not read what may lag behind it.
    Held,
}

pub(super) struct Session<'a> {
    plan: &'a Plan,
    expected: Expected,
    /// The body that called this function, if a cached one did.
    outer: Option<Recorder>,
    /// The stamp of this very entry, for `outer` to depend on.
    own_stamp: Option<Key>,
    began: Moment,
    /// What was seen before.
    first: Option<Result<Look>>,
    deadline: Option<Instant>,
    /// An entry that was found and could not be decoded.
    rejected: Option<Prefix>,
    missed: bool,
    /// The right to keep what was found.
    keep: Option<Keep>,
}

/// What was seen before the session began.
pub(super) struct First {
    /// When the call began.
    pub(super) began: Moment,
    pub(super) look: Result<Look>,
}

/// One look at the store.
pub(super) struct Look {
    pub(super) slot: Option<Bytes>,
    /// The stamps of the plan, and this entry's own where it is asked for.
    pub(super) stamps: States,
    /// Over what the slot came.
    pub(super) via: Option<Via>,
    /// The right to keep what is in the slot.
    pub(super) keep: Option<Keep>,
    /// When it was complete, in the order of this process's events.
    pub(super) at: Moment,
}

impl Look {
    /// The same for everybody, but for the right to keep it.
    pub(super) fn shared(&self) -> Self {
        Self { slot: self.slot.clone(), stamps: self.stamps.clone(), via: self.via, keep: None, at: self.at }
    }
}

impl<'a> Session<'a> {
    pub(super) fn new(plan: &'a Plan, expected: Expected, first: Option<First>) -> Self {
        plan.function.list();
        let outer = Recorder::current();
        let (began, first) = match first {
            Some(First { began, look }) => (began, Some(look)),
            None => (plan.home.flights().moment(), None),
        };
        Self {
            plan,
            expected,
            own_stamp: outer.is_some().then(|| stamp_of(&plan.key)),
            outer,
            began,
            first,
            deadline: None,
            rejected: None,
            missed: false,
            keep: None,
        }
    }

    /// The next step. Never fails: where the cache does, the body answers.
    pub(super) async fn next(&mut self) -> Step {
        match self.look_up().await {
            Ok(step) => step,
            Err(error) => {
                self.plan.function.count_error();
                telemetry::cache_failed(self.plan.function.name(), &self.plan.key, &error);
                self.alone(Right::Alone("the cache failed"))
            }
        }
    }

    /// An entry that `next` found cannot be decoded: it is a miss from now on.
    pub(super) fn reject(&mut self, entry: &[u8], reason: &dyn std::fmt::Display) {
        self.plan.function.count_error();
        telemetry::undecodable(self.plan.function.name(), &self.plan.key, reason);
        self.rejected = envelope::prefix(entry).map(Prefix::from);
    }

    async fn look_up(&mut self) -> Result<Step> {
        let mut freshness = self.freshness();
        let mut look = if let Some(seen) = self.first.take() {
            seen?
        } else {
            self.plan.home.open("look up")?;
            self.plan.home.repeat_kept_invalidations(&self.plan.key).await?;
            let look;
            (look, freshness) = self.first_look(freshness).await?;
            look
        };
        let mut finding = self.finding(&look);
        if freshness == Freshness::MayLag && !matches!(finding, Finding::Value { .. }) {
            // Only what a hit needs may lag: whom to follow and what to replace, the primary says.
            look = self.look(Freshness::Current).await?;
            finding = self.finding(&look);
        }
        match (&finding, &look.slot) {
            (Finding::Value { others }, Some(entry)) if others.is_empty() && self.usable(&look) => {
                let entry = entry.clone();
                self.keep = look.keep.take();
                self.found(&entry, self.own_stamp_at(&look));
                Ok(Step::Found(entry))
            }
            // On the heap: a hit needs none of it, and every call would carry it.
            _ => Box::pin(self.contend(look)).await,
        }
    }

    /// A plain look-up may lag as a replica does. One that an outer body depends on may not: it records the stamp.
    fn freshness(&self) -> Freshness {
        if self.is_plain() && self.plan.home.store().may_lag() {
            Freshness::MayLag
        } else {
            Freshness::Current
        }
    }

    fn is_plain(&self) -> bool {
        self.outer.is_none() && self.plan.mode == Mode::ReadThrough
    }

    /// Everything but a plain hit.
    async fn contend(&mut self, mut look: Look) -> Result<Step> {
        loop {
            let step = match self.finding(&look) {
                Finding::Value { others } if self.usable(&look) => match self.check(&mut look, others).await?
                {
                    Some(entry) => Some(Step::Found(entry)),
                    None => self.claim(&look, Self::prefix(&look)).await?,
                },
                Finding::Value { .. } if self.plan.mode == Mode::Refresh => self.replace(&look).await?,
                // Its bytes were of no use.
                Finding::Value { .. } => self.claim(&look, Self::prefix(&look)).await?,
                Finding::Absent => self.claim(&look, None).await?,
                Finding::Stale { prefix, reason } => {
                    if let Stale::Undecodable(error) = &reason {
                        self.plan.function.count_error();
                        telemetry::undecodable(self.plan.function.name(), &self.plan.key, error);
                    }
                    self.claim(&look, Some(prefix)).await?
                }
                Finding::Held => Some(self.alone(Right::Held)),
                Finding::Leased(lease) if self.plan.mode == Mode::Refresh => {
                    self.claim(&look, Some(lease.as_bytes().into())).await?
                }
                Finding::Leased(lease) => match self.share(&look, lease).await? {
                    Shared::Step(step) => Some(step),
                    Shared::Again(next) => {
                        look = next;
                        continue;
                    }
                },
            };
            match step {
                Some(step) => return Ok(step),
                None => look = self.look(Freshness::Current).await?,
            }
        }
    }

    /// Reads the slot and the stamps. Where an outer body is to depend on this entry, its stamp must exist before the
    /// value is read: a stamp made later would vouch for a value that was invalidated in between.
    async fn look(&mut self, freshness: Freshness) -> Result<Look> {
        let look = self.read(freshness).await?;
        let Some(own) = &self.own_stamp else { return Ok(look) };
        if look.stamps.last().is_some_and(Option::is_some) {
            return Ok(look);
        }
        let capture =
            pin!(self.plan.home.store().capture(std::slice::from_ref(&own), self.plan.stamp_life()));
        self.plan.home.in_time(self.plan.options.timeout, "capture the stamp", capture).await?;
        self.read(freshness).await
    }

    async fn read(&self, freshness: Freshness) -> Result<Look> {
        let stamps = self.stamps();
        if let Some(limit) = self.plan.options.timeout {
            self.plan.home.store().bear(limit);
        }
        // On the heap, for a handle that is answered from memory need not carry it.
        self.in_time(Box::pin(at_hand::read(self.plan, &stamps, freshness))).await
    }

    async fn in_time(&self, read: impl Future<Output = Result<at_hand::Read>> + Unpin) -> Result<Look> {
        let at_hand::Read { slot, stamps, via, keep } =
            self.plan.home.in_time(self.plan.options.timeout, "read", pin!(read)).await?;
        Ok(Look { slot, stamps, via, keep, at: self.plan.home.flights().moment() })
    }

    /// The right to keep what was found in this process's memory, if there is one.
    pub(super) fn take_keep(&mut self) -> Option<Keep> {
        self.keep.take()
    }

    fn keys(&self) -> SmallVec<[&Key; 6]> {
        std::iter::once(&self.plan.key).chain(self.stamps()).collect()
    }

    /// The stamps of the plan, and this entry's own where it is asked for.
    fn stamps(&self) -> SmallVec<[&Key; 6]> {
        self.plan.stamps().iter().chain(&self.own_stamp).collect()
    }

    fn declared(&self, look: &Look) -> SmallVec<[(&'a Key, Option<StampState>); 4]> {
        self.plan.stamps().iter().zip(look.stamps.iter().copied()).collect()
    }

    fn finding(&self, look: &Look) -> Finding {
        judge(look.slot.as_deref(), &self.declared(look), self.expected)
    }

    /// Whether an entry, once found valid, answers this call.
    fn usable(&self, look: &Look) -> bool {
        self.plan.mode == Mode::ReadThrough
            && (self.rejected.is_none() || self.rejected != Self::prefix(look))
    }

    fn prefix(look: &Look) -> Option<Prefix> {
        look.slot.as_deref().and_then(envelope::prefix).map(Prefix::from)
    }

    /// Checks the stamps that only the entry names, in a second read where there are any.
    async fn check(&mut self, look: &mut Look, others: Vec<(Key, Stamp)>) -> Result<Option<Bytes>> {
        let Some(entry) = look.slot.clone() else { return Ok(None) };
        let mut keep = look.keep.take();
        {
            let current = Box::pin(at_hand::are_current(self.plan, &others, look.via, &mut keep));
            if !self.plan.home.in_time(self.plan.options.timeout, "read", pin!(current)).await? {
                return Ok(None);
            }
        }
        self.keep = keep;
        self.found(&entry, self.own_stamp_at(look));
        Ok(Some(entry))
    }

    /// What `look` showed as the stamp of this very entry.
    fn own_stamp_at(&self, look: &Look) -> Option<StampState> {
        self.own_stamp.as_ref().and_then(|_| look.stamps.last().copied().flatten())
    }

    fn found(&mut self, entry: &[u8], own: Option<StampState>) {
        if self.plan.options.aging.has_ended(entry) {
            self.miss();
        } else {
            self.plan.function.count_hit();
            telemetry::hit(self.plan.function.name(), &self.plan.key);
        }
        let Some(outer) = &self.outer else { return };
        self.record_own(outer, own);
        if let Ok(envelope) = Envelope::decode(entry) {
            for (name, value) in envelope.stamps.clone() {
                outer.used(&Key(name.into()), value);
            }
        }
    }

    fn record_own(&self, outer: &Recorder, own: Option<StampState>) {
        match (&self.own_stamp, own) {
            (Some(key), Some(StampState::Current(value))) if outer.is_at_home(self.plan.home.id()) => {
                outer.used(key, value);
            }
            (_, Some(StampState::Current(_))) => {
                telemetry::foreign_dependency(self.plan.function.name());
                outer.used_unaccountably();
            }
            _ => outer.used_unaccountably(),
        }
    }

    /// The slot is free, or may be replaced while it begins with `over`: leads a load, or follows one of this process
    /// that began late enough. `None`: look again.
    async fn claim(&mut self, look: &Look, over: Option<Prefix>) -> Result<Option<Step>> {
        self.miss();
        // An outer body depends on the stamp as of the look, so only a load that began after it will do.
        let since =
            if self.outer.is_some() || self.plan.mode == Mode::Refresh { look.at } else { self.began };
        let flight = match self.plan.home.flights().join(&self.plan.key, since) {
            Role::Lead(flight) => flight,
            Role::Follow(flight) => return self.follow(&flight, look, true).await,
        };
        let lease = flight.lease;
        // From here on a drop ends the flight and gives the lease back.
        let lead = Lead::claiming(self.plan, flight);
        match self.send_claim(over.as_deref(), lease, look).await? {
            None => {
                lead.lost();
                self.out_of_time().map_or(Ok(None), |step| Ok(Some(step)))
            }
            Some(states) => Ok(Some(self.won(lead, &states))),
        }
    }

    /// The stamps if the claim was won.
    async fn send_claim(
        &self,
        over: Option<&[u8]>,
        lease: Lease,
        look: &Look,
    ) -> Result<Option<StampStates>> {
        let (mut states, missing) = self.known_stamps(look);
        let stamps: SmallVec<[&Key; 6]> = missing.iter().map(|(_, stamp)| *stamp).collect();
        let beside = self.stamps();
        let claim = pin!(self.plan.home.store().claim(ClaimRequest {
            slot: &self.plan.key,
            over,
            lease,
            lease_life: self.plan.home.lease_life(),
            stamps: &stamps,
            stamp_life: self.plan.stamp_life(),
            beside: &beside,
        }));
        match self.plan.home.in_time(self.plan.options.timeout, "claim", claim).await? {
            Claim::Lost => Ok(None),
            Claim::Won(read) => {
                fill_in(&mut states, &missing, read);
                Ok(Some(states))
            }
        }
    }

    /// The stamps as the look found them, which is before any body runs, and those that are to be read or made: what was
    /// missing, and whose life must be pushed forward.
    fn known_stamps(&self, look: &Look) -> (StampStates, SmallVec<[(usize, &Key); 6]>) {
        let now = clock::now();
        let mut states = StampStates::new();
        let mut missing = SmallVec::new();
        for (index, (stamp, state)) in self.stamps().into_iter().zip(look.stamps.iter().copied()).enumerate()
        {
            states.push(state.unwrap_or(StampState::Held));
            if self.plan.is_push_due(stamp, now) || state.is_none() {
                missing.push((index, stamp));
            }
        }
        (states, missing)
    }

    fn won(&mut self, mut lead: Lead, states: &StampStates) -> Step {
        match self.current(states) {
            Some(current) => {
                lead.claimed(current, self.outer.clone());
                Step::Load(Right::Store(lead))
            }
            // Dropping the lead gives the lease back.
            None => self.alone(Right::Held),
        }
    }

    /// The stamps as they are before the body runs, which an outer body depends on from now on; `None` if one is held.
    fn current(&self, states: &StampStates) -> Option<Vec<(Key, Stamp)>> {
        let (declared, own) = states.split_at(self.plan.stamps().len());
        let current = self.plan.current(declared);
        if let (Some(outer), Some(current)) = (&self.outer, &current) {
            self.record_own(outer, own.first().copied());
            for (key, value) in current {
                outer.used(key, *value);
            }
        }
        current
    }

    /// Loads anew while others read the entry that is there.
    async fn replace(&mut self, look: &Look) -> Result<Option<Step>> {
        let Some(seen) = Self::prefix(look) else { return Ok(None) };
        self.miss();
        let (mut states, missing) = self.known_stamps(look);
        let stamps: SmallVec<[&Key; 6]> = missing.iter().map(|(_, stamp)| *stamp).collect();
        let capture = pin!(self.plan.home.store().capture(&stamps, self.plan.stamp_life()));
        let captured = self.plan.home.in_time(self.plan.options.timeout, "capture stamps", capture).await?;
        fill_in(&mut states, &missing, captured);
        Ok(Some(match self.current(&states) {
            Some(current) => {
                Step::Load(Right::Store(Lead::replacing(self.plan, seen, current, self.outer.clone())))
            }
            None => self.alone(Right::Held),
        }))
    }

    /// A load whose result is not stored, neither here nor in an entry that is made from it.
    fn alone(&self, right: Right) -> Step {
        if let Some(outer) = &self.outer {
            outer.used_unaccountably();
        }
        Step::Load(right)
    }

    fn miss(&mut self) {
        if !self.missed {
            self.missed = true;
            self.plan.function.count_miss();
        }
    }

    fn deadline(&mut self) -> Instant {
        let limit = self.plan.options.load_timeout.unwrap_or(WAIT_LIMIT);
        *self.deadline.get_or_insert_with(|| clock::now() + limit)
    }

    fn out_of_time(&mut self) -> Option<Step> {
        (clock::now() >= self.deadline()).then(|| self.alone(Right::Alone("waited too long")))
    }
}

/// Puts what was read of the missing stamps where it belongs.
fn fill_in(states: &mut StampStates, missing: &[(usize, &Key)], read: StampStates) {
    for ((index, _), state) in missing.iter().zip(read) {
        states[*index] = state;
    }
}
