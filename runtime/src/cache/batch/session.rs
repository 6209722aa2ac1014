//! The look-ups of one batch: reads all records at once, claims those that nobody has, and waits for those that others load.
//!
//! What was claimed is loaded before anything is waited for: two batches that wait for each other's records would never end.

use std::collections::BTreeMap;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;

use super::entries::Item;
use super::leads::{Claimed, Leads};
use super::look::{Look, Looker, Stamps};
use crate::cache::decision::{Expected, Finding, Prefix, Stale};
use crate::cache::dependencies::{Recorder, Used};
use crate::cache::plan::{Mode, Plan};
use crate::cache::single_flight::{Flight, Moment, Role};
use crate::clock::{self, Instant};
use crate::codec::envelope::{self, Envelope};
use crate::error::{Error, Result};
use crate::key::Key;
use crate::store::{Freshness, Lease, Stamp, StampState, Store};
use crate::telemetry;

/// What is to be done next: decode these entries, and run the body for the rest that is named.
pub(super) struct Round<'a> {
    pub(super) found: Vec<(usize, Bytes)>,
    /// Records that may be stored.
    pub(super) leads: Leads<'a>,
    /// Records that only answer this caller.
    pub(super) alone: Vec<usize>,
}

pub(super) struct Session<'a> {
    pub(super) plan: &'a Plan,
    pub(super) items: &'a [Item],
    pub(super) stamps: Stamps,
    pub(super) expected: Expected,
    /// The body that called this function, if a cached one did.
    outer: Option<Recorder>,
    began: Moment,
    pub(super) deadline: Option<Instant>,
    /// The records that are not answered yet.
    pub(super) open: BTreeMap<usize, Open>,
    looked: bool,
}

/// A record that is not answered yet.
#[derive(Default)]
pub(super) struct Open {
    pub(super) state: State,
    /// An entry that was found and could not be decoded.
    rejected: Option<Prefix>,
    missed: bool,
}

#[derive(Default)]
pub(super) enum State {
    /// To be looked at.
    #[default]
    Unknown,
    /// A load of this process is under way. `late` says that it began after this call did.
    Following { flight: Arc<Flight>, late: bool, own: Option<StampState> },
    /// Another process holds this lease.
    Elsewhere(Lease),
    /// To be loaded, and not stored.
    Alone,
}

/// Where a look leads.
enum Next {
    Found(Bytes),
    /// Valid if these stamps are current, too.
    Check(Bytes, Vec<(Key, Stamp)>),
    Claim(Option<Prefix>),
    Replace(Prefix),
    Alone(&'static str),
    State(State),
}

impl<'a> Session<'a> {
    pub(super) fn new(plan: &'a Plan, items: &'a [Item], expected: Expected) -> Self {
        plan.function.list();
        let outer = Recorder::current();
        Self {
            stamps: Stamps::of(plan, items, outer.is_some()),
            began: plan.home.flights().moment(),
            open: (0..items.len()).map(|item| (item, Open::default())).collect(),
            deadline: None,
            looked: false,
            plan,
            items,
            expected,
            outer,
        }
    }

    /// Whether every record has been handed out.
    pub(super) fn is_done(&self) -> bool {
        self.open.is_empty()
    }

    /// An entry that a round has found cannot be decoded: it is a miss from now on.
    pub(super) fn reject(&mut self, item: usize, entry: &[u8], reason: &dyn std::fmt::Display) {
        self.plan.function.count_error();
        telemetry::undecodable(self.plan.function.name(), &self.items[item].key, reason);
        let rejected = envelope::prefix(entry).map(Prefix::from);
        self.open.insert(item, Open { rejected, ..Open::default() });
    }

    /// What the body used becomes known to the body that called it.
    pub(super) fn pass_on(&self, used: &Used) {
        let Some(outer) = &self.outer else { return };
        for (key, value) in &used.stamps {
            outer.used(key, *value);
        }
        if used.unaccountable {
            outer.used_unaccountably();
        }
    }

    /// The next round. Never fails: where the cache does, the body answers.
    pub(super) async fn round(&mut self) -> Round<'a> {
        let mut round = Round { found: Vec::new(), leads: Leads::new(self.plan), alone: Vec::new() };
        while !self.open.is_empty() {
            self.look_up(&mut round).await;
            self.hand_out_alone(&mut round);
            if !round.found.is_empty() || !round.leads.is_empty() || !round.alone.is_empty() {
                break;
            }
            if self.open.values().any(|open| matches!(open.state, State::Following { .. })) {
                self.follow(&mut round).await;
                if !round.found.is_empty() {
                    break;
                }
            } else if self.open.values().any(|open| matches!(open.state, State::Elsewhere(_))) {
                self.wait_for_change().await;
            } else if clock::now() >= self.deadline() {
                // Claims were lost, again and again.
                self.alone_if(|_| true, "waited too long");
            } else {
                tokio::task::yield_now().await;
            }
        }
        round
    }

    async fn look_up(&mut self, round: &mut Round<'a>) {
        if !self.looked {
            self.looked = true;
            if let Err(error) = self.begin(round).await {
                return self.failed(&error);
            }
        }
        if let Err(error) = self.look(Freshness::Current, round).await {
            self.failed(&error);
        }
    }

    async fn begin(&mut self, round: &mut Round<'a>) -> Result<()> {
        let home = &self.plan.home;
        home.open("look up")?;
        home.repeat_kept_invalidations(&self.items[0].key).await?;
        if self.may_lag() { self.look(Freshness::MayLag, round).await } else { Ok(()) }
    }

    /// A plain look-up may lag as a replica does. One that an outer body depends on may not: it records the stamps.
    fn may_lag(&self) -> bool {
        self.outer.is_none() && self.plan.mode == Mode::ReadThrough && self.plan.home.store().may_lag()
    }

    /// Looks at the records of which nothing is known, and does what that leads to. What may lag serves for hits alone.
    async fn look(&mut self, freshness: Freshness, round: &mut Round<'a>) -> Result<()> {
        let of: Vec<usize> = self
            .open
            .iter()
            .filter(|(_, open)| matches!(open.state, State::Unknown))
            .map(|(&item, _)| item)
            .collect();
        if of.is_empty() {
            return Ok(());
        }
        let looks = self.looker().look(&of, freshness).await?;
        self.judge(looks, freshness, round).await
    }

    pub(super) fn looker(&self) -> Looker<'_> {
        Looker { plan: self.plan, items: self.items, stamps: &self.stamps }
    }

    async fn judge(&mut self, looks: Vec<Look>, freshness: Freshness, round: &mut Round<'a>) -> Result<()> {
        let (mut claims, mut replaces, mut checks) = (Vec::new(), Vec::new(), Vec::new());
        for look in looks {
            let next = self.next(&look);
            if freshness == Freshness::MayLag && !matches!(next, Next::Found(_)) {
                continue;
            }
            match next {
                Next::Found(entry) => self.found(look.item, entry, look.own, round),
                Next::Check(entry, others) => checks.push((look, entry, others)),
                Next::Claim(over) => claims.push((look, over)),
                Next::Replace(seen) => replaces.push((look, seen)),
                Next::Alone(reason) => self.alone(look.item, reason),
                Next::State(state) => self.wait_as(look.item, state),
            }
        }
        if !checks.is_empty() {
            let named: Vec<_> = checks.iter().map(|(_, _, others)| others.clone()).collect();
            let current = self.looker().current(&named).await?;
            for ((look, entry, _), current) in checks.into_iter().zip(current) {
                if current {
                    self.found(look.item, entry, look.own, round);
                } else {
                    claims.push((look, envelope::prefix(&entry).map(Prefix::from)));
                }
            }
        }
        if !replaces.is_empty() {
            self.replace(replaces, round).await?;
        }
        if !claims.is_empty() {
            self.claim(claims, round).await?;
        }
        Ok(())
    }

    fn next(&mut self, look: &Look) -> Next {
        let refreshes = self.plan.mode == Mode::Refresh;
        let prefix = look.slot.as_deref().and_then(envelope::prefix).map(Prefix::from);
        match look.finding(&self.stamps, self.expected) {
            Finding::Value { .. } if refreshes => prefix.map_or(Next::State(State::Unknown), Next::Replace),
            Finding::Value { others } => {
                let rejected = self.open.get(&look.item).and_then(|open| open.rejected.as_ref());
                match look.slot.clone() {
                    // Its bytes were of no use.
                    _ if rejected.is_some() && rejected == prefix.as_ref() => Next::Claim(prefix),
                    Some(entry) if others.is_empty() => Next::Found(entry),
                    Some(entry) => Next::Check(entry, others),
                    None => Next::State(State::Unknown),
                }
            }
            Finding::Absent => Next::Claim(None),
            Finding::Stale { prefix, reason } => {
                if let Stale::Undecodable(error) = &reason {
                    self.plan.function.count_error();
                    telemetry::undecodable(self.plan.function.name(), &self.items[look.item].key, error);
                }
                Next::Claim(Some(prefix))
            }
            Finding::Held => Next::Alone("a write is under way"),
            Finding::Leased(lease) if refreshes => Next::Claim(Some(lease.as_bytes().into())),
            Finding::Leased(lease) => self.leased(look, lease),
        }
    }

    /// Somebody loads: shares the load if it runs in this process and nothing it depends on has changed since its claim.
    fn leased(&self, look: &Look, lease: Lease) -> Next {
        let Some(flight) = self.plan.home.flights().holding(&self.items[look.item].key, lease) else {
            return Next::State(State::Elsewhere(lease));
        };
        // The lease is in the slot, but its leader may not have been told yet what stamps it found.
        let Some(then) = flight.stamps.get() else { return Next::State(State::Unknown) };
        let same = then.len() == look.declared.len()
            && then.iter().zip(&look.declared).all(|(then, now)| Some(*then) == *now);
        if same {
            return Next::State(State::Following { flight, late: false, own: look.own });
        }
        // What it depends on was invalidated, so its result will be of no use: take the slot over.
        Next::Claim(Some(Prefix::from(lease.as_bytes())))
    }

    /// The slots are free, or may be replaced: leads their loads, or follows those of this process that began late enough.
    async fn claim(&mut self, claims: Vec<(Look, Option<Prefix>)>, round: &mut Round<'a>) -> Result<()> {
        let by_order = self.outer.is_some() || self.plan.mode == Mode::Refresh;
        // From here on a drop ends the flights and gives the leases back.
        let mut leads = Leads::new(self.plan);
        let (mut looks, mut overs) = (Vec::new(), Vec::new());
        for (look, over) in claims {
            self.miss(look.item);
            // An outer body depends on the stamps as of the look, so only a load that began after it will do.
            let since = if by_order { look.at } else { self.began };
            let key = &self.items[look.item].key;
            match self.plan.home.flights().join(key, since) {
                Role::Lead(flight) => {
                    leads.claiming(look.item, key.clone(), flight);
                    looks.push(look);
                    overs.push(over);
                }
                Role::Follow(flight) => {
                    self.wait_as(look.item, State::Following { flight, late: true, own: look.own });
                }
            }
        }
        if leads.is_empty() {
            return Ok(());
        }
        let asked = self.asked_for(&looks);
        let keys: Vec<&Key> = asked.iter().map(|&stamp| &self.stamps.keys[stamp]).collect();
        let slots = self.items.iter().map(|item| &item.key);
        let beside: Vec<&Key> = self.stamps.keys.iter().chain(slots).collect();
        let claimed = leads.send_claims(&overs, &keys, &beside).await?;
        let read: Vec<(usize, StampState)> = asked.iter().copied().zip(claimed.stamps).collect();
        let mut outcomes = Vec::with_capacity(looks.len());
        for (look, won) in looks.iter().zip(claimed.won) {
            outcomes.push(if !won {
                Claimed::Lost
            } else if let Some(stamps) = self.stamps_before(look, &read) {
                self.forget(look.item);
                Claimed::Won(stamps)
            } else {
                self.alone(look.item, "a write is under way");
                Claimed::Held
            });
        }
        leads.claimed(outcomes.into_iter());
        round.leads.append(leads);
        Ok(())
    }

    /// Loads anew while others read the entries that are there.
    async fn replace(&mut self, replaces: Vec<(Look, Prefix)>, round: &mut Round<'a>) -> Result<()> {
        let (looks, seen): (Vec<Look>, Vec<Prefix>) = replaces.into_iter().unzip();
        let asked = self.asked_for(&looks);
        let captured = {
            let keys: Vec<&Key> = asked.iter().map(|&stamp| &self.stamps.keys[stamp]).collect();
            let home = &self.plan.home;
            let capture = pin!(home.store().capture(&keys, self.plan.stamp_life()));
            home.in_time(self.plan.options.timeout, "capture stamps", capture).await?
        };
        let read: Vec<(usize, StampState)> = asked.iter().copied().zip(captured).collect();
        for (look, seen) in looks.iter().zip(seen) {
            self.miss(look.item);
            match self.stamps_before(look, &read) {
                Some(stamps) => {
                    self.forget(look.item);
                    round.leads.replacing(look.item, self.items[look.item].key.clone(), seen, stamps);
                }
                None => self.alone(look.item, "a write is under way"),
            }
        }
        Ok(())
    }

    /// The stamps that are to be read or made: what was missing, and whose life must be pushed forward.
    fn asked_for(&self, looks: &[Look]) -> Vec<usize> {
        let now = clock::now();
        let mut asked = Vec::new();
        for look in looks {
            let states = look.declared.iter().copied().chain([look.own]);
            for (stamp, state) in self.stamps.used_by(look.item).zip(states) {
                if self.plan.is_push_due(&self.stamps.keys[stamp], now) || state.is_none() {
                    asked.push(stamp);
                }
            }
        }
        asked.sort_unstable();
        asked.dedup();
        asked
    }

    /// The declared stamps as they are before the body runs, on which an outer body depends from now on; `None` if one is held.
    fn stamps_before(&self, look: &Look, read: &[(usize, StampState)]) -> Option<Vec<(Key, Stamp)>> {
        let current = |stamp: usize, seen: Option<StampState>| {
            let index = read.binary_search_by_key(&stamp, |(stamp, _)| *stamp);
            index.map_or(seen, |index| Some(read[index].1))
        };
        let declared = self.stamps.declared(look.item);
        let stamps: Vec<(Key, Stamp)> = declared
            .iter()
            .zip(&look.declared)
            .map(|(&stamp, &seen)| match current(stamp, seen) {
                Some(StampState::Current(value)) => Some((self.stamps.keys[stamp].clone(), value)),
                Some(StampState::Held) | None => None,
            })
            .collect::<Option<_>>()?;
        if let Some(outer) = &self.outer {
            let own = self.stamps.own(look.item).and_then(|stamp| current(stamp, look.own));
            self.record_own(outer, look.item, own);
            for (key, value) in &stamps {
                outer.used(key, *value);
            }
        }
        Some(stamps)
    }

    pub(super) fn found(
        &mut self,
        item: usize,
        entry: Bytes,
        own: Option<StampState>,
        round: &mut Round<'a>,
    ) {
        self.forget(item);
        self.plan.function.count_hit();
        telemetry::hit(self.plan.function.name(), &self.items[item].key);
        if let Some(outer) = &self.outer {
            self.record_own(outer, item, own);
            if let Ok(envelope) = Envelope::decode(&entry) {
                for (name, value) in envelope.stamps.clone() {
                    outer.used(&Key(name.into()), value);
                }
            }
        }
        round.found.push((item, entry));
    }

    fn record_own(&self, outer: &Recorder, item: usize, own: Option<StampState>) {
        match (self.stamps.own(item), own) {
            (Some(stamp), Some(StampState::Current(value))) if outer.is_at_home(self.plan.home.id()) => {
                outer.used(&self.stamps.keys[stamp], value);
            }
            (_, Some(StampState::Current(_))) => {
                telemetry::foreign_dependency(self.plan.function.name());
                outer.used_unaccountably();
            }
            _ => outer.used_unaccountably(),
        }
    }

    /// The record is answered, or about to be.
    fn forget(&mut self, item: usize) {
        self.open.remove(&item);
    }

    fn wait_as(&mut self, item: usize, state: State) {
        if !matches!(state, State::Unknown) {
            self.miss(item);
            self.plan.function.count_wait();
        }
        if let Some(open) = self.open.get_mut(&item) {
            open.state = state;
        }
    }

    fn miss(&mut self, item: usize) {
        if let Some(open) = self.open.get_mut(&item).filter(|open| !open.missed) {
            open.missed = true;
            self.plan.function.count_miss();
        }
    }

    /// A record whose load is not stored, neither here nor in an entry that is made from it.
    pub(super) fn alone(&mut self, item: usize, reason: &'static str) {
        telemetry::not_stored(self.plan.function.name(), &self.items[item].key, reason);
        if let Some(outer) = &self.outer {
            outer.used_unaccountably();
        }
        if let Some(open) = self.open.get_mut(&item) {
            open.state = State::Alone;
        }
    }

    pub(super) fn alone_if(&mut self, is_meant: impl Fn(&State) -> bool, reason: &'static str) {
        let meant: Vec<usize> =
            self.open.iter().filter(|(_, open)| is_meant(&open.state)).map(|(&item, _)| item).collect();
        for item in meant {
            self.alone(item, reason);
        }
    }

    /// The cache failed; what is loaded in this process is still awaited.
    pub(super) fn failed(&mut self, error: &Error) {
        self.plan.function.count_error();
        telemetry::batch_failed(self.plan.function.name(), self.open.len(), error);
        self.alone_if(|state| !matches!(state, State::Following { .. }), "the cache failed");
    }

    fn hand_out_alone(&mut self, round: &mut Round<'a>) {
        self.open.retain(|&item, open| {
            let alone = matches!(open.state, State::Alone);
            if alone {
                round.alone.push(item);
            }
            !alone
        });
    }
}
