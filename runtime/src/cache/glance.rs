//! The short way of a hit: one read of the slot, judged by stamps at hand, and nothing else.
//!
//! Whatever is not a plain hit goes the long way of [`flow`](super::flow), with what was seen here. Stamps are judged after the
//! answer has come, as in [`at_hand`](super::at_hand).

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use smallvec::SmallVec;

use super::at_hand::{Keep, Marks, States};
use super::decision::{Expected, envelope_fits, vouch};
use super::dependencies::Recorder;
use super::options::Local;
use super::plan::{Mode, Plan};
use super::session::{First, Look, being_loaded};
use super::single_flight::Moment;
use crate::codec::envelope::Envelope;
use crate::error::Result;
use crate::local::{self as memory, Reserved};
use crate::store::{self, Freshness, Seen, Slot, StampState, Via};
use crate::telemetry;

/// A read under way.
pub(super) struct Glance {
    read: store::Glance,
    reserved: Option<Reserved>,
    /// When the call began, in the order of this process's events.
    began: Moment,
}

/// What a look came to.
pub(super) enum Glimpse {
    /// A valid entry, which has been restored, and the right to keep it.
    Hit(Option<(Keep, Bytes)>),
    /// Something else, if it is known what.
    Else(Option<First>),
}

impl Glance {
    /// Looks at the slot, if a hit can be told from it and what is at hand.
    pub(super) fn at(plan: &Plan) -> Option<Self> {
        let home = &plan.home;
        let local = home.local()?;
        // Bodies of cached functions record what they use, with stamps that only the store knows.
        if plan.mode != Mode::ReadThrough
            || plan.options.timeout.is_some()
            || !home.is_undisturbed()
            || Recorder::is_recording()
            || being_loaded(plan).is_some()
        {
            return None;
        }
        // Stamps that must be read are read with the slot, on the long way.
        if !plan.function.vouched().stands(plan) && !are_known(plan, local) {
            return None;
        }
        let began = home.flights().moment();
        let keeps = plan.local != Local::Off && local.values().are_kept();
        let reserved = keeps.then(|| local.reserve(plan.key.as_bytes()));
        let freshness = if keeps { Freshness::Watched } else { Freshness::Current };
        let read = home.store().glance(&plan.key, freshness)?;
        plan.function.list();
        Some(Self { read, reserved, began })
    }

    /// `restore` takes the value of an envelope, and says whether it could.
    pub(super) fn poll(
        &mut self,
        plan: &Plan,
        expected: Expected,
        restore: &mut dyn FnMut(&Envelope<'_>) -> bool,
        cx: &mut Context<'_>,
    ) -> Poll<Glimpse> {
        let Poll::Ready(seen) = Pin::new(&mut self.read).poll(cx) else { return Poll::Pending };
        Poll::Ready(match seen.and_then(|seen| self.judge(plan, expected, &seen, restore)) {
            Ok(glimpse) => glimpse,
            Err(error) => Glimpse::Else(Some(First { began: self.began, look: Err(error) })),
        })
    }

    fn judge(
        &mut self,
        plan: &Plan,
        expected: Expected,
        seen: &Seen,
        restore: &mut dyn FnMut(&Envelope<'_>) -> bool,
    ) -> Result<Glimpse> {
        let (slot, via) = (seen.value()?, seen.via());
        let envelope = match Slot::of(slot.map(|bytes| &**bytes)) {
            Slot::Value(bytes) => Envelope::decode(bytes).ok().filter(|it| envelope_fits(it, expected)),
            _ => None,
        };
        // Tests let what is seen here be kept late, which happens on the long way.
        let hit = envelope.filter(|_| plan.home.rules().keep_later.is_zero());
        if let Some(envelope) = &hit {
            let keeps = self.reserved.is_some();
            let copied = |marks: &Marks| if keeps { marks.clone() } else { Marks::new() };
            if let Some(marks) = plan.function.vouched().of(plan, envelope, via, copied) {
                return Ok(self.hit(plan, envelope, marks, seen, restore));
            }
        }
        let Some((states, marks)) = known(plan, via) else { return Ok(Glimpse::Else(None)) };
        let declared: SmallVec<[_; 4]> = plan.stamps().iter().zip(states.iter().copied()).collect();
        if let Some(envelope) = &hit
            && vouch(envelope, &declared).is_some_and(|others| others.is_empty())
        {
            plan.function.vouched().remember(plan, envelope, &marks);
            return Ok(self.hit(plan, envelope, marks, seen, restore));
        }
        let look = Look {
            slot: slot.cloned(),
            stamps: states,
            via,
            keep: self.keep(marks, seen),
            at: plan.home.flights().moment(),
        };
        Ok(Glimpse::Else(Some(First { began: self.began, look: Ok(look) })))
    }

    fn hit(
        &mut self,
        plan: &Plan,
        envelope: &Envelope<'_>,
        marks: Marks,
        seen: &Seen,
        restore: &mut dyn FnMut(&Envelope<'_>) -> bool,
    ) -> Glimpse {
        if !restore(envelope) {
            // What cannot be read is reported on the long way.
            return Glimpse::Else(None);
        }
        plan.function.count_hit();
        telemetry::hit(plan.function.name(), &plan.key);
        // Only then are the bytes kept beyond the batch that they came with, which costs an allocation.
        let keep = self.keep(marks, seen);
        Glimpse::Hit(keep.and_then(|keep| Some((keep, seen.value().ok()??.clone()))))
    }

    fn keep(&mut self, marks: Marks, seen: &Seen) -> Option<Keep> {
        let reserved = self.reserved.take()?;
        Some(Keep { reserved, marks, watched: seen.via().is_some(), left: seen.left() })
    }
}

fn are_known(plan: &Plan, local: &memory::Local) -> bool {
    plan.stamps().iter().all(|stamp| local.stamps.of(stamp).known().is_some())
}

/// The declared stamps, if all of them are at hand and say something about an answer that came over `via`.
fn known(plan: &Plan, via: Option<Via>) -> Option<(States, Marks)> {
    let (local, via) = (plan.home.local()?, via?);
    let strict = plan.local == Local::Off;
    let (mut states, mut marks) = (States::new(), Marks::new());
    for stamp in plan.stamps() {
        let mark = local.stamps.of(stamp);
        let known = mark.known()?;
        if strict && !known.says_of(via) {
            return None;
        }
        states.push(Some(StampState::Current(known.stamp)));
        marks.push(mark);
    }
    Some((states, marks))
}
