//! The right to store: a lease or an entry seen before the body ran, the stamps as they were, and the duty to tell the
//! followers how it ended.

use std::future::{self, Future};
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;

use super::Function;
use super::decision::Prefix;
use super::dependencies::{Recorder, Used};
use super::give_back::give_back;
use super::made_from::MadeFrom;
use super::plan::{Mode, Plan};
use super::single_flight::{Ending, Flight};
use crate::clock::{self, Instant};
use crate::key::Key;
use crate::store::{Guarded, Stamp, Store};
use crate::{Keylatch, telemetry};

/// See the module. Dropping it gives everything back.
pub(super) struct Lead {
    home: Keylatch,
    key: Key,
    function: &'static Function,
    timeout: Option<Duration>,
    flight: Option<Arc<Flight>>,
    /// What the slot must still begin with for the result to be stored.
    expected: Prefix,
    /// Whether entries made from this one go when it is stored.
    replaces: bool,
    state: State,
    /// Whether what answers in the server's place was asked for the lease, so that the server never had it.
    in_refuge: bool,
    stamps: Vec<(Key, Stamp)>,
    outer: Option<Recorder>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// The claim may have been sent: the slot may hold our lease.
    Claiming,
    Claimed,
    /// The lease is known to be gone.
    Gone,
    /// The followers have been told.
    Ended,
}

impl Lead {
    /// A lead whose lease is about to be claimed.
    pub(super) fn claiming(plan: &Plan, flight: Arc<Flight>) -> Self {
        let in_refuge = plan.home.store().is_sheltered(&plan.key);
        let mut lead = Self::new(plan, Prefix::from(flight.lease.as_bytes()), Some(flight), State::Claiming);
        lead.in_refuge = in_refuge;
        lead
    }

    /// A lead that needs no lease: it replaces the very entry that begins with `seen`, which others read meanwhile.
    pub(super) fn replacing(
        plan: &Plan,
        seen: Prefix,
        stamps: Vec<(Key, Stamp)>,
        outer: Option<Recorder>,
    ) -> Self {
        let mut lead = Self::new(plan, seen, None, State::Gone);
        lead.stamps = stamps;
        lead.outer = outer;
        lead
    }

    fn new(plan: &Plan, expected: Prefix, flight: Option<Arc<Flight>>, state: State) -> Self {
        Self {
            home: plan.home.clone(),
            key: plan.key.clone(),
            function: plan.function,
            timeout: plan.options.timeout,
            flight,
            expected,
            replaces: plan.mode == Mode::Refresh,
            state,
            in_refuge: false,
            stamps: Vec::new(),
            outer: None,
        }
    }

    /// The slot went to somebody else.
    pub(super) fn lost(mut self) {
        self.state = State::Gone;
    }

    /// The slot holds our lease, and these are the stamps from before it did.
    pub(super) fn claimed(&mut self, stamps: Vec<(Key, Stamp)>, outer: Option<Recorder>) {
        let states = stamps.iter().map(|(_, stamp)| crate::store::StampState::Current(*stamp)).collect();
        if let Some(flight) = &self.flight {
            // Set once per flight, by its only leader.
            let _ = flight.stamps.set(states);
        }
        self.stamps = stamps;
        self.outer = outer;
        self.state = State::Claimed;
        self.in_refuge &= self.home.store().is_sheltered(&self.key);
    }

    /// Keeps the lease while it is polled; never completes. Gives the lease up at `deadline`, so that others may load.
    pub(super) async fn keep(&mut self, deadline: Option<Instant>) {
        let life = self.home.lease_life();
        while self.state == State::Claimed {
            let next = clock::now() + life / 3;
            clock::sleep_until(deadline.map_or(next, |deadline| deadline.min(next))).await;
            if deadline.is_some_and(|deadline| clock::now() >= deadline) {
                self.give_up(Ending::Abandoned).await;
                break;
            }
            let extended = self.home.store().extend(&self.key, &self.expected, life).await;
            if let Ok(Guarded::Refused) = extended {
                self.state = State::Gone;
            }
            // A failure may pass; if it does not, the fill will be refused.
        }
        future::pending::<()>().await;
    }

    /// What the entry depends on: what was declared, and what the body was seen to use.
    pub(super) fn dependencies(&self, used: Option<&Used>) -> Vec<(Key, Stamp)> {
        Used::added_to(used, &self.stamps)
    }

    /// Stores the envelope if the slot still holds our lease, and hands it to the followers either way: they came before
    /// whatever has changed since.
    pub(super) async fn store(mut self, envelope: Vec<u8>, life: Duration) {
        let began = clock::now();
        let made_from =
            self.replaces.then(|| MadeFrom::new(&self.home, self.function, vec![self.key.clone()]));
        let filled = self.fill(&envelope, life).await;
        match filled {
            Ok(Guarded::Applied) => {
                telemetry::stored(self.function.name(), &self.key, clock::now() - began);
                if let Some(made_from) = made_from {
                    // A failure is kept, repeated and traced there.
                    let _ = made_from.invalidate().await;
                }
            }
            Ok(Guarded::Refused) => {
                self.function.count_refused();
                telemetry::not_stored(self.function.name(), &self.key, "invalidated meanwhile");
                if let Some(made_from) = made_from {
                    made_from.call_off();
                }
                // What answers in the server's place knows nothing of the lease, which may have outlived the server.
                if self.is_on_the_server() && self.home.store().is_sheltered(&self.key) {
                    self.give_back();
                }
            }
            Err(error) => {
                self.function.count_error();
                telemetry::cache_failed(self.function.name(), &self.key, &error);
                // It may have been stored all the same; but the caller is not to wait for a server that hangs. If it was not,
                // the lease would keep others waiting.
                drop(made_from);
                if self.is_on_the_server() {
                    self.give_back();
                }
            }
        }
        self.end(Ending::Loaded(Bytes::from(envelope)));
    }

    /// Bounded as a look-up is: a server that hangs now must not keep the caller from its answer.
    async fn fill(&self, envelope: &[u8], life: Duration) -> crate::Result<Guarded> {
        let store = self.home.store();
        if !self.home.rules().check_fills {
            return store.put(&self.key, envelope, life).await;
        }
        let fill = pin!(store.replace(&self.key, &self.expected, envelope, life));
        self.home.in_time(self.timeout, "fill", fill).await
    }

    /// The result is not to be stored.
    pub(super) async fn not_for_storing(mut self, reason: &'static str) {
        telemetry::not_stored(self.function.name(), &self.key, reason);
        self.give_up(Ending::NotForStoring).await;
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

    async fn give_up(&mut self, ending: Ending) {
        if self.state == State::Claimed {
            let store = self.home.store();
            let release = pin!(store.release(&self.key, &self.expected));
            let released = self.home.in_time(self.timeout, "release", release).await;
            if self.is_on_the_server() && (released.is_err() || store.is_sheltered(&self.key)) {
                self.give_back();
            }
        }
        self.end(ending);
    }

    /// Whether the server has granted the lease.
    fn is_on_the_server(&self) -> bool {
        self.state == State::Claimed && !self.in_refuge
    }

    /// Behind the caller, who may be gone.
    fn give_back(&self) {
        give_back(&self.home, vec![(self.key.clone(), self.expected.clone())]);
    }

    fn end(&mut self, ending: Ending) {
        self.state = State::Ended;
        if let Some(flight) = &self.flight {
            self.home.flights().end(&self.key, flight, ending);
        }
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.state == State::Ended {
            return;
        }
        let is_left = self.state == State::Claiming || self.is_on_the_server();
        self.end(Ending::Abandoned);
        if is_left {
            self.give_back();
        }
    }
}

/// Runs the body while its lease is kept.
pub(super) async fn run_kept<F: Future>(lead: &mut Lead, deadline: Option<Instant>, body: F) -> F::Output {
    tokio::select! {
        biased;
        output = body => output,
        () = lead.keep(deadline) => unreachable!("keeping a lease never completes"),
    }
}
