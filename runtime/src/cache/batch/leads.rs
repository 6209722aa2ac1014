//! The rights to store the records of one run of the body: what [`Lead`](crate::cache::lead) is for a single call, for many, with
//! one round trip a step.

use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::decision::Prefix;
use crate::cache::dependencies::Used;
use crate::cache::give_back::{Leases, give_back};
use crate::cache::made_from::MadeFrom;
use crate::cache::plan::{Mode, Plan, STAMP_MARGIN};
use crate::cache::single_flight::{Ending, Flight};
use crate::clock::{self, Instant};
use crate::error::Result;
use crate::key::Key;
use crate::store::{
    Guarded, Held, ManyClaimed, ManyClaims, Replacement, SlotClaim, Stamp, StampState, Store,
};
use crate::telemetry;

/// See the module. Dropping it gives everything back.
pub(super) struct Leads<'a> {
    plan: &'a Plan,
    all: Vec<Lead>,
}

/// The right to store one record.
pub(super) struct Lead {
    pub(super) item: usize,
    key: Key,
    flight: Option<Arc<Flight>>,
    /// What the slot must still begin with for the record to be stored.
    expected: Prefix,
    state: State,
    /// Whether what answers in the server's place was asked for the lease, so that the server never had it.
    in_refuge: bool,
    stamps: Vec<(Key, Stamp)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The claim may have been sent: the slot may hold our lease.
    Claiming,
    Claimed,
    /// The lease is known to be gone, or there is none.
    Gone,
    /// The followers have been told.
    Ended,
}

/// What becomes of one record.
pub(super) enum Settled {
    Store { envelope: Vec<u8>, life: Duration },
    Decline(&'static str),
}

/// What came of one claim.
pub(super) enum Claimed {
    /// With the stamps as they were before.
    Won(Vec<(Key, Stamp)>),
    /// The slot is ours, and a stamp is held: nothing may be stored.
    Held,
    Lost,
}

impl Lead {
    fn end(&mut self, plan: &Plan, ending: Ending) {
        self.state = State::Ended;
        if let Some(flight) = &self.flight {
            plan.home.flights().end(&self.key, flight, ending);
        }
    }

    /// Whether the server has granted the lease.
    fn is_on_the_server(&self) -> bool {
        self.state == State::Claimed && !self.in_refuge
    }

    fn held(&self) -> Held<'_> {
        Held { key: &self.key, expected: &self.expected }
    }

    fn lease(&self) -> (Key, Prefix) {
        (self.key.clone(), self.expected.clone())
    }

    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// What the entry depends on: what was declared, and what the body was seen to use.
    pub(super) fn dependencies(&self, used: Option<&Used>) -> Vec<(Key, Stamp)> {
        Used::added_to(used, &self.stamps)
    }
}

impl<'a> Leads<'a> {
    pub(super) fn new(plan: &'a Plan) -> Self {
        Self { plan, all: Vec::new() }
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Lead> {
        self.all.iter()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn append(&mut self, mut others: Self) {
        self.all.append(&mut others.all);
    }

    /// A record whose lease is about to be claimed.
    pub(super) fn claiming(&mut self, item: usize, key: Key, flight: Arc<Flight>) {
        let expected = Prefix::from(flight.lease.as_bytes());
        let (state, in_refuge) = (State::Claiming, self.plan.home.store().is_sheltered(&key));
        self.all.push(Lead {
            item,
            key,
            flight: Some(flight),
            expected,
            state,
            in_refuge,
            stamps: Vec::new(),
        });
    }

    /// A record that needs no lease: it replaces the very entry that begins with `expected`, which others read meanwhile.
    pub(super) fn replacing(&mut self, item: usize, key: Key, expected: Prefix, stamps: Vec<(Key, Stamp)>) {
        self.all.push(Lead {
            item,
            key,
            flight: None,
            expected,
            state: State::Gone,
            in_refuge: false,
            stamps,
        });
    }

    /// Claims the slots, over what each was seen to begin with. `beside` was read with them.
    pub(super) async fn send_claims(
        &self,
        over: &[Option<Prefix>],
        stamps: &[&Key],
        beside: &[&Key],
    ) -> Result<ManyClaimed> {
        let slots: Vec<SlotClaim<'_>> = self
            .all
            .iter()
            .zip(over)
            .filter_map(|(lead, over)| {
                let lease = lead.flight.as_ref()?.lease;
                Some(SlotClaim { slot: &lead.key, over: over.as_deref(), lease })
            })
            .collect();
        let home = &self.plan.home;
        let claims = ManyClaims {
            slots: &slots,
            lease_life: home.lease_life(),
            stamps,
            stamp_life: self.plan.stamp_life(),
            beside,
        };
        let claim = pin!(home.store().claim_many(claims));
        home.in_time(self.plan.options.timeout, "claim", claim).await
    }

    /// Keeps what was won, and gives back the rest.
    pub(super) fn claimed(&mut self, outcomes: impl Iterator<Item = Claimed>) {
        let mut given_back = Self::new(self.plan);
        for (mut lead, outcome) in std::mem::take(&mut self.all).into_iter().zip(outcomes) {
            match outcome {
                Claimed::Won(stamps) => {
                    if let Some(flight) = &lead.flight {
                        let states = stamps.iter().map(|(_, stamp)| StampState::Current(*stamp)).collect();
                        // Set once per flight, by its only leader.
                        let _ = flight.stamps.set(states);
                    }
                    lead.stamps = stamps;
                    lead.state = State::Claimed;
                    lead.in_refuge &= self.plan.home.store().is_sheltered(&lead.key);
                    self.all.push(lead);
                }
                Claimed::Held => given_back.all.push(lead),
                Claimed::Lost => lead.end(self.plan, Ending::Abandoned),
            }
        }
    }

    /// Keeps the leases while it is polled; never completes. Gives them up at `deadline`, so that others may load.
    async fn keep(&mut self, deadline: Option<Instant>) {
        let home = &self.plan.home;
        let life = home.lease_life();
        while self.all.iter().any(|lead| lead.state == State::Claimed) {
            let next = clock::now() + life / 3;
            clock::sleep_until(deadline.map_or(next, |deadline| deadline.min(next))).await;
            if deadline.is_some_and(|deadline| clock::now() >= deadline) {
                self.give_up(Ending::Abandoned).await;
                break;
            }
            let mut claimed: Vec<&mut Lead> =
                self.all.iter_mut().filter(|lead| lead.state == State::Claimed).collect();
            let held: Vec<Held<'_>> = claimed.iter().map(|lead| lead.held()).collect();
            let extended = home.store().extend_many(&held, life).await;
            for (lead, extended) in claimed.iter_mut().zip(extended) {
                // A failure may pass; if it does not, the fill will be refused.
                if let Ok(Guarded::Refused) = extended {
                    lead.state = State::Gone;
                }
            }
        }
        future::pending::<()>().await;
    }

    /// Runs the body while the leases are kept.
    pub(super) async fn run_kept<F: Future>(&mut self, deadline: Option<Instant>, body: F) -> F::Output {
        tokio::select! {
            biased;
            output = body => output,
            () = self.keep(deadline) => unreachable!("keeping leases never completes"),
        }
    }

    /// Stores the records whose slots still hold what was seen, and hands each to its followers either way: they came before
    /// whatever has changed since. `settled` are in the order of the leads.
    pub(super) async fn settle(mut self, settled: Vec<Settled>) {
        let mut filled = Vec::new();
        let mut declined = Self::new(self.plan);
        for (lead, settled) in std::mem::take(&mut self.all).into_iter().zip(settled) {
            match settled {
                Settled::Store { envelope, life } => {
                    self.all.push(lead);
                    filled.push((envelope, life));
                }
                Settled::Decline(reason) => {
                    telemetry::not_stored(self.plan.function.name(), &lead.key, reason);
                    declined.all.push(lead);
                }
            }
        }
        self.push_stamps_forward(&filled).await;
        let began = clock::now();
        let plan = self.plan;
        let replaces = plan.mode == Mode::Refresh;
        let keys = || self.all.iter().map(|lead| lead.key.clone()).collect();
        let mut made_from = replaces.then(|| MadeFrom::new(&plan.home, plan.function, keys()));
        let outcomes = self.fill(&filled).await;
        let took = clock::now() - began;
        if let Some(made_from) = &mut made_from {
            // After a failure it may have been stored all the same.
            made_from.retain(outcomes.iter().map(|outcome| !matches!(outcome, Ok(Guarded::Refused))));
        }
        let mut left = Leases::new();
        for ((lead, outcome), (envelope, _)) in self.all.iter_mut().zip(outcomes).zip(filled) {
            let is_left = match outcome {
                Ok(Guarded::Applied) => {
                    telemetry::stored(plan.function.name(), &lead.key, took);
                    false
                }
                Ok(Guarded::Refused) => {
                    plan.function.count_refused();
                    telemetry::not_stored(plan.function.name(), &lead.key, "invalidated meanwhile");
                    // What answers in the server's place knows nothing of the lease, which may have outlived the server.
                    plan.home.store().is_sheltered(&lead.key)
                }
                Err(ref error) => {
                    plan.function.count_error();
                    telemetry::cache_failed(plan.function.name(), &lead.key, error);
                    true
                }
            };
            if is_left && lead.is_on_the_server() {
                left.push(lead.lease());
            }
            lead.end(plan, Ending::Loaded(Bytes::from(envelope)));
        }
        give_back(&plan.home, left);
        declined.give_up(Ending::NotForStoring).await;
        if let Some(made_from) = made_from {
            // A failure is kept, repeated and traced there.
            let _ = made_from.invalidate().await;
        }
    }

    /// None of the records is to be stored.
    pub(super) async fn not_for_storing(mut self, reason: &'static str) {
        for lead in &self.all {
            telemetry::not_stored(self.plan.function.name(), &lead.key, reason);
        }
        self.give_up(Ending::NotForStoring).await;
    }

    /// Bounded as a look-up is: a server that hangs now must not keep the caller from its answer.
    async fn fill(&self, filled: &[(Vec<u8>, Duration)]) -> Vec<Result<Guarded>> {
        let home = &self.plan.home;
        if !home.rules().check_fills {
            let mut outcomes = Vec::new();
            for (lead, (envelope, life)) in self.all.iter().zip(filled) {
                outcomes.push(home.store().put(&lead.key, envelope, *life).await);
            }
            return outcomes;
        }
        let replacements: Vec<Replacement<'_>> = self
            .all
            .iter()
            .zip(filled)
            .map(|(lead, (value, life))| Replacement {
                slot: &lead.key,
                expected: &lead.expected,
                value,
                life: *life,
            })
            .collect();
        if replacements.is_empty() {
            return Vec::new();
        }
        let fill = pin!(async { Ok(home.store().replace_many(&replacements).await) });
        match home.in_time(self.plan.options.timeout, "fill", fill).await {
            Ok(outcomes) => outcomes,
            Err(error) => replacements.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    /// A stamp that dies before its entry is a miss, so a failure here costs no more than that.
    async fn push_stamps_forward(&self, filled: &[(Vec<u8>, Duration)]) {
        let Some(life) = filled.iter().map(|(_, life)| *life).max().filter(|life| *life > STAMP_MARGIN)
        else {
            return;
        };
        let mut keys: Vec<&Key> = Vec::new();
        for (key, _) in self.all.iter().flat_map(|lead| &lead.stamps) {
            if !keys.contains(&key) {
                keys.push(key);
            }
        }
        let home = &self.plan.home;
        let capture = pin!(home.store().capture(&keys, life));
        let _ = home.in_time(self.plan.options.timeout, "push stamps forward", capture).await;
    }

    async fn give_up(&mut self, ending: Ending) {
        let claimed: Vec<&Lead> = self.all.iter().filter(|lead| lead.state == State::Claimed).collect();
        if !claimed.is_empty() {
            let home = &self.plan.home;
            let held: Vec<Held<'_>> = claimed.iter().map(|lead| lead.held()).collect();
            let release = pin!(async { Ok(home.store().release_many(&held).await) });
            let released = home.in_time(self.plan.options.timeout, "release", release).await;
            let is_left = |place: usize, lead: &Lead| {
                let taken = released.as_ref().is_ok_and(|released| released[place].is_ok());
                lead.is_on_the_server() && (!taken || home.store().is_sheltered(&lead.key))
            };
            let left = claimed.iter().enumerate().filter(|(place, lead)| is_left(*place, lead));
            give_back(home, left.map(|(_, lead)| lead.lease()).collect());
        }
        for lead in self.all.iter_mut().filter(|lead| lead.state != State::Ended) {
            lead.end(self.plan, ending.clone());
        }
    }
}

impl Drop for Leads<'_> {
    fn drop(&mut self) {
        let mut held = Leases::new();
        for lead in self.all.iter_mut().filter(|lead| lead.state != State::Ended) {
            if lead.state == State::Claiming || lead.is_on_the_server() {
                held.push(lead.lease());
            }
            lead.end(self.plan, Ending::Abandoned);
        }
        // The releases must not be lost with the caller.
        give_back(&self.plan.home, held);
    }
}
