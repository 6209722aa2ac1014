//! Read-through for functions whose entries age.

use std::future::Future;
use std::time::Duration;

use super::super::dependencies::Recorder;
use super::super::flow::{Task, load_alone, load_and_store, restore};
use super::super::keeper::Keeper;
use super::super::outcome::{Outcome, Verdict};
use super::super::plan::{Mode, Plan};
use super::super::session::{First, Right, Session, Step};
use super::behind::Behind;
use super::ended::{self, Renewed, Turn};
use super::{Age, sliding};
use crate::clock;

/// How much longer each time a caller waits before it looks again for what others have renewed.
const AGAIN: Duration = Duration::from_millis(5);

/// Answers one call. `R` says what becomes of the body when the entry has answered and is due.
pub(in crate::cache) async fn read_aging<S, T, V, B, F, R>(
    task: Task<T::Payload, V, B>,
    keeper: Option<Keeper<T::Value>>,
    mut first: Option<First>,
) -> T
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
    R: Behind<Task<T::Payload, V, B>>,
{
    let expected = task.expected();
    if task.plan.mode == Mode::Bypass {
        return Box::pin((task.body)()).await;
    }
    let (mut deadline, mut looks) = (None, 0_u32);
    loop {
        let mut session = Session::new(&task.plan, expected, first.take());
        let entry = loop {
            let entry = match session.next().await {
                Step::Found(entry) => entry,
                Step::Load(right) => {
                    let load = load::<S, T, V, B, F>(task, expected, right);
                    return Box::pin(load).await;
                }
            };
            match (restore::<S, T>(&task.codec, &entry), task.plan.options.aging.age(&entry)) {
                (Err(reason), _) => session.reject(&entry, &reason),
                // Its bytes are kept, not its value: that is needed again only if the renewal fails.
                (Ok(_), Age::Ended) => break entry,
                (Ok(value), age) => {
                    sliding::pushed_forward(&task.plan, &entry);
                    if let (Some(keeper), Some(keep)) = (keeper, session.take_keep()) {
                        keeper.keep(&task.plan, expected, keep, &entry, &value);
                    }
                    if age == Age::Due {
                        R::renew(task, expected, &entry);
                    }
                    return T::from_value(value);
                }
            }
        };
        let deadline = *deadline.get_or_insert_with(|| ended::deadline(&task.plan));
        let turn = Box::pin(ended::turn(&task.plan, expected, &entry, deadline)).await;
        let codec = task.codec;
        match turn {
            Turn::Again => {
                // A replica may lag behind what was renewed: to be asked again and again would not help it.
                if looks > 0 {
                    Box::pin(clock::sleep(AGAIN * looks.min(20))).await;
                }
                looks += 1;
            }
            Turn::Stale(reason) => {
                if let Ok(value) = restore::<S, T>(&codec, &entry) {
                    ended::answered_stale(&task.plan, reason);
                    return T::from_value(value);
                }
            }
            Turn::Load(renewal) => {
                let Task { plan, codec, verdict, body } = task;
                let run = (verdict, body);
                let renewed = ended::renew::<S, T, V, B, F>(&plan, &codec, run, expected, *renewal, &entry);
                return settle::<S, T>(Box::pin(renewed).await, &plan, &codec, &entry);
            }
        }
    }
}

/// The answer to a call that has renewed an entry, or tried to.
fn settle<S, T: Outcome<S>>(
    renewed: Renewed<T>,
    plan: &Plan,
    codec: &crate::codec::CodecHandle<T::Payload>,
    entry: &[u8],
) -> T {
    match (renewed.outcome, renewed.reason) {
        (Some(outcome), None) => outcome,
        (outcome, reason) => match restore::<S, T>(codec, entry) {
            Ok(value) => {
                ended::answered_stale(plan, reason.unwrap_or_default());
                T::from_value(value)
            }
            Err(_) => outcome.expect("an entry that was read can be read again"),
        },
    }
}

async fn load<S, T, V, B, F>(
    task: Task<T::Payload, V, B>,
    expected: super::super::decision::Expected,
    right: Right,
) -> T
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    let Task { plan, codec, verdict, body } = task;
    match right {
        Right::Store(lead) => {
            load_and_store::<S, T, V, B, F>(&plan, &codec, expected, lead, verdict, body).await.0
        }
        Right::Alone(reason) => load_alone(&plan, reason, Recorder::new(plan.home.id()), body).await,
        Right::Held => {
            let recorder = Recorder::under_hold(plan.home.id());
            load_alone(&plan, "a write is under way", recorder, body).await
        }
    }
}
