//! Reads of a slot and its stamps that use what is at hand: of stamps that the store watches, only the slot is read.
//!
//! Stamps at hand are judged *after* the answer has come. News of changes and answers come over one connection in one order,
//! so by then everything has been told that happened before the slot was read: a caller that starts after an invalidation
//! by any process has returned does not get what was invalidated. Where there is no such order (in a cluster a stamp may lie
//! on another node than the entry), a function with `local = off` reads its stamps with each slot.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::options::Local;
use super::plan::Plan;
use crate::error::Result;
use crate::key::Key;
use crate::local::{Known, Mark, Reserved};
use crate::store::{Freshness, Stamp, StampState, Store, Via};

/// States of stamps in the order of their keys; `None` where there is none.
pub(super) type States = SmallVec<[Option<StampState>; 4]>;

/// What a read came to.
pub(super) struct Read {
    pub(super) slot: Option<Bytes>,
    pub(super) stamps: States,
    /// Over what the slot came.
    pub(super) via: Option<Via>,
    pub(super) keep: Option<Keep>,
}

/// The right to keep in memory what a read found, with what it depends on.
pub(crate) struct Keep {
    pub(super) reserved: Reserved,
    pub(super) marks: Marks,
    /// Whether the store tells of changes. Otherwise it may be kept for as long as the function says at most.
    pub(super) watched: bool,
    /// What is left of the entry's life, if the store has said so.
    pub(super) left: Option<Duration>,
}

pub(super) type Marks = SmallVec<[Arc<Mark>; 4]>;
type AllKnown = SmallVec<[Option<Known>; 4]>;

/// Reads the slot, and those of the stamps that are not at hand. What is read was there after the call began, the slot no
/// earlier than its stamps.
pub(super) async fn read(plan: &Plan, stamps: &[&Key], freshness: Freshness) -> Result<Read> {
    let Some(local) = plan.home.local() else { return all(plan, stamps, freshness).await };
    // Who reads from replicas wants their answers, unless the function says how long they may be kept.
    let of_replicas = freshness == Freshness::MayLag && !matches!(plan.local, Local::For(_));
    if of_replicas || (is_strict(plan) && !plan.home.store().is_in_one_order()) {
        return all(plan, stamps, freshness).await;
    }
    let reserved = reserve(plan, local);
    let marks = marks(local, stamps);
    let known: AllKnown = marks.iter().map(|mark| mark.known()).collect();
    if let Some(read) = the_rest(plan, stamps, marks, &known, reserved).await? {
        return Ok(read);
    }
    // Something has changed meanwhile, or what is at hand says nothing about this answer.
    let reserved = reserve(plan, local);
    let marks = self::marks(local, stamps);
    let nothing: AllKnown = marks.iter().map(|_| None).collect();
    match Box::pin(the_rest(plan, stamps, marks, &nothing, reserved)).await? {
        Some(read) => Ok(read),
        None => unreachable!("nothing at hand was used"),
    }
}

/// Whether stamps that only the entry names are as it names them: what is at hand may say so for the answer that the entry
/// came with; the others are read. Adds them to what the entry is kept with.
pub(super) async fn are_current(
    plan: &Plan,
    others: &[(Key, Stamp)],
    slot: Option<Via>,
    keep: &mut Option<Keep>,
) -> Result<bool> {
    let local = plan.home.local().filter(|_| !is_strict(plan) || plan.home.store().is_in_one_order());
    let Some(local) = local else {
        *keep = None;
        return all_current(plan, others).await;
    };
    let keys: SmallVec<[&Key; 6]> = others.iter().map(|(key, _)| key).collect();
    let marks = marks(local, &keys);
    let known = |mark: &Mark| {
        let known = mark.known()?;
        (!is_strict(plan) || slot.is_some_and(|slot| known.says_of(slot))).then_some(known.stamp)
    };
    let mut missing: SmallVec<[(&Key, &Mark, Stamp); 4]> = SmallVec::new();
    for ((key, stamp), mark) in others.iter().zip(&marks) {
        match known(mark) {
            Some(at_hand) if at_hand != *stamp => return Ok(false),
            Some(_) => {}
            None => missing.push((key, &**mark, *stamp)),
        }
    }
    let keys: SmallVec<[&Key; 6]> = missing.iter().map(|(key, ..)| *key).collect();
    if !keys.is_empty() {
        let reading = plan.home.store().read(&keys, Freshness::Watched).await?;
        for ((_, mark, stamp), value) in missing.iter().zip(&reading.values) {
            if StampState::of(value.as_deref()) != Some(StampState::Current(*stamp)) {
                return Ok(false);
            }
            match reading.via {
                Some(via) => mark.learn(*stamp, via),
                None => *keep = None,
            }
        }
    }
    if let Some(keep) = keep {
        keep.marks.extend(marks.iter().cloned());
    }
    Ok(true)
}

/// Whether the stamps that only the entry names are as the entry names them, by a read of their own where there are any.
pub(super) async fn all_current(plan: &Plan, others: &[(Key, Stamp)]) -> Result<bool> {
    if others.is_empty() {
        return Ok(true);
    }
    let keys: SmallVec<[&Key; 6]> = others.iter().map(|(key, _)| key).collect();
    let read = std::pin::pin!(plan.home.store().read(&keys, Freshness::Current));
    let values = plan.home.in_time(plan.options.timeout, "read", read).await?.values;
    let current = values.iter().map(|value| StampState::of(value.as_deref()));
    Ok(current.zip(others).all(|(state, (_, stamp))| state == Some(StampState::Current(*stamp))))
}

/// Whether every call asks the store.
fn is_strict(plan: &Plan) -> bool {
    plan.local == Local::Off
}

fn reserve(plan: &Plan, local: &Arc<crate::local::Local>) -> Option<Reserved> {
    (!is_strict(plan) && local.values().are_kept()).then(|| local.reserve(plan.key.as_bytes()))
}

fn marks(local: &crate::local::Local, stamps: &[&Key]) -> Marks {
    stamps.iter().map(|stamp| local.stamps.of(stamp)).collect()
}

/// Reads everything, and keeps nothing.
pub(super) async fn all(plan: &Plan, stamps: &[&Key], freshness: Freshness) -> Result<Read> {
    let keys: SmallVec<[&Key; 6]> = std::iter::once(&plan.key).chain(stamps.iter().copied()).collect();
    let mut reading = plan.home.store().read(&keys, freshness).await?;
    let stamps = reading.values.drain(1..).map(|value| StampState::of(value.as_deref())).collect();
    Ok(Read { slot: reading.values.pop().flatten(), stamps, via: reading.via, keep: None })
}

/// Reads the slot and the stamps that are not known; `None` if what is known turned out to be of no use.
async fn the_rest(
    plan: &Plan,
    stamps: &[&Key],
    marks: Marks,
    known: &[Option<Known>],
    reserved: Option<Reserved>,
) -> Result<Option<Read>> {
    let missing = known.iter().zip(stamps).filter(|(known, _)| known.is_none()).map(|(_, stamp)| *stamp);
    let keys: SmallVec<[&Key; 6]> = std::iter::once(&plan.key).chain(missing).collect();
    let watch = reserved.is_some() || keys.len() > 1;
    let freshness = if watch { Freshness::Watched } else { Freshness::Current };
    let reading = plan.home.store().read(&keys, freshness).await?;
    let mut values = reading.values.into_iter();
    let slot = values.next().flatten();
    let mut states = States::new();
    for (known, mark) in known.iter().zip(&marks) {
        if let Some(known) = known {
            let says = reading.via.is_some_and(|answer| known.says_of(answer));
            if !mark.stands() || (is_strict(plan) && !says) {
                return Ok(None);
            }
            states.push(Some(StampState::Current(known.stamp)));
        } else {
            let state = StampState::of(values.next().flatten().as_deref());
            if let (Some(StampState::Current(stamp)), Some(via)) = (state, reading.via) {
                mark.learn(stamp, via);
            }
            states.push(state);
        }
    }
    let keep =
        reserved.map(|reserved| Keep { reserved, marks, watched: reading.via.is_some(), left: reading.left });
    Ok(Some(Read { slot, stamps: states, via: reading.via, keep }))
}
