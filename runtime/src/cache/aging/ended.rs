//! An entry past its end that the store still has: a call renews it, and if that fails the entry answers once more.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use super::super::decision::{Expected, Prefix};
use super::super::dependencies::Recorder;
use super::super::flow::{load_alone, load_and_store};
use super::super::lead::Lead;
use super::super::outcome::{Outcome, Verdict};
use super::super::plan::Plan;
use super::attempts::{Attempt, Begin};
use super::claim::{Claim, kept};
use super::renewal;
use crate::clock::{self, Instant};
use crate::codec::{CodecHandle, envelope};
use crate::error::Result;
use crate::store::Store;
use crate::telemetry;

/// How long a caller waits for somebody else's renewal, where no `load_timeout` is given.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// The first and the longest pause between looks at what another process renews. A push usually comes first.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(250);

/// What a caller that found such an entry is to do.
pub(super) enum Turn {
    /// Renew it.
    Load(Box<Renewal>),
    /// Look again: it is another one by now.
    Again,
    /// Answer with it.
    Stale(&'static str),
}

pub(super) struct Renewal {
    attempt: Attempt,
    claim: Option<Claim>,
    /// `None`: the cache failed, so the result only answers its caller.
    lead: Option<Lead>,
}

/// When a caller stops waiting for others.
pub(super) fn deadline(plan: &Plan) -> Instant {
    clock::now() + plan.options.load_timeout.unwrap_or(WAIT_LIMIT)
}

/// Settles who renews: one caller in this process, one process in the fleet. The others wait, and then look for
/// themselves: what they find was checked against the stamps after they began, so no invalidation is missed.
pub(super) async fn turn(plan: &Plan, expected: Expected, entry: &[u8], deadline: Instant) -> Turn {
    let Some(seen) = envelope::prefix(entry).map(Prefix::from) else { return Turn::Again };
    let attempt = match plan.home.attempts().begin(&plan.key) {
        Begin::Mine(attempt) => attempt,
        Begin::Paused => return Turn::Stale("it could not be renewed a moment ago"),
        Begin::UnderWay(mut ended) => {
            plan.function.count_wait();
            let mut expired = pin!(clock::sleep_until(deadline));
            return tokio::select! {
                _closed = ended.changed() => Turn::Again,
                () = &mut expired => stale_if_there(plan, expected, &seen).await,
            };
        }
    };
    let claim = match claim(plan, &seen, deadline).await {
        Ok(Claimed::Mine(claim)) => Some(claim),
        Ok(Claimed::Renewed) => return Turn::Again,
        Ok(Claimed::TooLong) => {
            // Nobody else here is to wait as long for the same.
            attempt.failed(plan.options.aging.stale_if_error.unwrap_or_default());
            return stale_if_there(plan, expected, &seen).await;
        }
        // The source must not depend on the cache: the fill is checked all the same.
        Err(error) => {
            plan.function.count_error();
            telemetry::renewal_failed(plan.function.name(), &plan.key, &error);
            None
        }
    };
    match renewal::over(plan, expected, &seen, Recorder::current()).await {
        Ok(Some(lead)) => Turn::Load(Box::new(Renewal { attempt, claim, lead: Some(lead) })),
        Ok(None) => Turn::Again,
        Err(error) => {
            plan.function.count_error();
            telemetry::renewal_failed(plan.function.name(), &plan.key, &error);
            Turn::Load(Box::new(Renewal { attempt, claim, lead: None }))
        }
    }
}

/// For a caller that has waited: the entry may have been invalidated meanwhile.
async fn stale_if_there(plan: &Plan, expected: Expected, seen: &Prefix) -> Turn {
    match renewal::is_there(plan, expected, seen).await {
        Ok(true) => Turn::Stale("waited too long"),
        Ok(false) | Err(_) => Turn::Again,
    }
}

enum Claimed {
    Mine(Claim),
    /// Another process has renewed the entry, or the entry is gone.
    Renewed,
    /// Another process is at it, and does not get done.
    TooLong,
}

/// Claims the renewal for this process, or waits until another one has renewed the entry.
async fn claim(plan: &Plan, seen: &Prefix, deadline: Instant) -> Result<Claimed> {
    if let Some(claim) = Claim::take(plan).await? {
        return Ok(Claimed::Mine(claim));
    }
    plan.function.count_wait();
    let store = plan.home.store();
    let wake = store.wake(&plan.key);
    let mut pause = FIRST_LOOK;
    loop {
        let changed = wake.changed();
        let keys = [&plan.key];
        let read = pin!(store.read_watched(&keys, &wake));
        let values = plan.home.in_time(plan.options.timeout, "read and watch", read).await?;
        if values[0].as_deref().is_none_or(|slot| !slot.starts_with(seen)) {
            return Ok(Claimed::Renewed);
        }
        // Whoever had it may have failed.
        if let Some(claim) = Claim::take(plan).await? {
            return Ok(Claimed::Mine(claim));
        }
        if clock::now() >= deadline {
            return Ok(Claimed::TooLong);
        }
        tokio::select! {
            () = changed => {}
            () = clock::sleep(pause) => {}
        }
        pause = (pause * 2).min(LONGEST_LOOK);
    }
}

/// Runs the body and stores its value. A body that takes longer than the `load_timeout` is dropped: the old entry answers
/// for it.
pub(super) async fn renew<S, T, V, B, F>(
    plan: &Plan,
    codec: &CodecHandle<T::Payload>,
    (verdict, body): (V, B),
    expected: Expected,
    renewal: Renewal,
    entry: &[u8],
) -> Renewed<T>
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    let Renewal { attempt, claim, lead } = renewal;
    let mut load = pin!(kept(claim.as_ref(), async {
        match lead {
            Some(lead) => load_and_store::<S, T, V, B, F>(plan, codec, expected, lead, verdict, body).await,
            None => (load_alone(plan, "the cache failed", Recorder::new(plan.home.id()), body).await, true),
        }
    }));
    // What was invalidated while the body ran answers nobody. It counts as invalidated if that cannot be told.
    let seen = envelope::prefix(entry).map(Prefix::from).unwrap_or_default();
    let is_there = async || renewal::is_there(plan, expected, &seen).await.unwrap_or(false);
    let ended = match plan.options.load_timeout {
        None => Some(load.await),
        Some(limit) => match clock::within(limit, load.as_mut()).await {
            None if is_there().await => None,
            None => Some(load.await),
            ended => ended,
        },
    };
    let (outcome, for_storing) = ended.map_or((None, false), |(outcome, stored)| (Some(outcome), stored));
    let succeeded = outcome.as_ref().map(|outcome| outcome.value().is_some());
    let reason = match succeeded {
        None => Some("the body took too long"),
        Some(false) if is_there().await => Some("the body failed"),
        Some(_) => None,
    };
    if succeeded == Some(true) && !for_storing {
        // In its place there will be nothing, and whoever comes next is not to wait for his turn to renew it.
        let release = pin!(plan.home.store().release(&plan.key, entry));
        let _ = plan.home.in_time(plan.options.timeout, "release", release).await;
    }
    // Before those who wait are woken, so that they find that it is not to be tried again yet.
    match reason {
        Some(_) => attempt.failed(plan.options.aging.stale_if_error.unwrap_or_default()),
        None => drop(attempt),
    }
    Renewed { outcome, reason }
}

/// How a renewal went.
pub(super) struct Renewed<T> {
    /// What the body returned, if it did in time.
    pub(super) outcome: Option<T>,
    /// Why the old entry is to answer instead.
    pub(super) reason: Option<&'static str>,
}

/// Accounts for an answer that is past its end.
pub(super) fn answered_stale(plan: &Plan, reason: &'static str) {
    plan.function.count_stale();
    telemetry::stale(plan.function.name(), &plan.key, reason);
    // What is made from it would be taken for new, and outlive it.
    if let Some(outer) = Recorder::current() {
        outer.used_unaccountably();
    }
}
