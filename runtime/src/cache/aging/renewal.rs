//! What a renewal needs before its body runs: the entry as the caller saw it, and the stamps as they are now.

use std::pin::pin;

use super::super::at_hand::all_current;
use super::super::decision::{Expected, Finding, Prefix, judge};
use super::super::dependencies::Recorder;
use super::super::lead::Lead;
use super::super::plan::Plan;
use crate::error::Result;
use crate::key::Key;
use crate::store::{Freshness, StampState, Store};

/// The right to store over the entry that begins with `seen`; `None` if that is not there any more, or not valid: then
/// somebody has renewed or invalidated it. To be asked for once the renewal is claimed, for whoever had the claim before
/// filled the slot before the claim was given back.
pub(super) async fn over(
    plan: &Plan,
    expected: Expected,
    seen: &Prefix,
    outer: Option<Recorder>,
) -> Result<Option<Lead>> {
    if !is_there(plan, expected, seen).await? {
        return Ok(None);
    }
    let store = plan.home.store();
    // The stamps of an entry that is renewed again and again must live on with it. What the body is about to load is to
    // be invalidated by any change of them from here on.
    let stamps: Vec<&Key> = plan.stamps().iter().collect();
    let capture = pin!(store.capture(&stamps, plan.stamp_life()));
    let states = plan.home.in_time(plan.options.timeout, "capture stamps", capture).await?;
    let current = plan.current(&states);
    Ok(current.map(|stamps| Lead::replacing(plan, seen.clone(), stamps, outer)))
}

/// Whether the slot still has the entry that begins with `seen`, and every stamp vouches for it.
pub(super) async fn is_there(plan: &Plan, expected: Expected, seen: &Prefix) -> Result<bool> {
    let store = plan.home.store();
    let keys: Vec<&Key> = std::iter::once(&plan.key).chain(plan.stamps()).collect();
    let read = pin!(store.read(&keys, Freshness::Current));
    let values = plan.home.in_time(plan.options.timeout, "read", read).await?.values;
    let states = values[1..].iter().map(|value| StampState::of(value.as_deref()));
    let declared: Vec<_> = plan.stamps().iter().zip(states).collect();
    match judge(values[0].as_deref(), &declared, expected) {
        Finding::Value { others } if values[0].as_deref().is_some_and(|slot| slot.starts_with(seen)) => {
            all_current(plan, &others).await
        }
        _ => Ok(false),
    }
}
