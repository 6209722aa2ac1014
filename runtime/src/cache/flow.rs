//! Read-through: the one generic path of every cached call. Everything that does not touch the value is in [`session`]
//! and [`lead`], compiled once.

use std::future::Future;
use std::pin::pin;

use super::decision::Expected;
use super::dependencies::Recorder;
use super::keeper::Keeper;
use super::lead::{Lead, run_kept};
use super::outcome::{Outcome, Verdict};
use super::plan::{Mode, Plan, STAMP_MARGIN};
use super::session::{First, Right, Session, Step};
use crate::clock;
use crate::codec::envelope::{self, Envelope, Header, WriterId};
use crate::codec::{CodecHandle, Packing};
use crate::store::Store;
use crate::{random, telemetry};

/// One call, with everything it needs.
#[derive(Debug)]
pub(crate) struct Task<P, V, B> {
    pub(super) plan: Plan,
    pub(super) codec: CodecHandle<P>,
    pub(super) verdict: V,
    pub(super) body: B,
}

impl<P, V, B> Task<P, V, B> {
    pub(super) fn expected(&self) -> Expected {
        expected(&self.plan, &self.codec)
    }
}

/// What this build expects of an entry: the version is mixed into the fingerprint of the shape.
pub(super) fn expected<P>(plan: &Plan, codec: &CodecHandle<P>) -> Expected {
    let shape = codec.fingerprint(&plan.function.fingerprint);
    let version = u64::from(plan.options.version).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    Expected { codec: codec.id(), fingerprint: shape ^ version }
}

/// Answers one call.
pub(crate) async fn read_through<S, T, V, B, F>(
    task: Task<T::Payload, V, B>,
    keeper: Option<Keeper<T::Value>>,
    first: Option<First>,
) -> T
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    let expected = task.expected();
    if task.plan.mode == Mode::Bypass {
        return Box::pin((task.body)()).await;
    }
    // The task is used where it lies: taking it apart would store every part twice in the future.
    let mut session = Session::new(&task.plan, expected, first);
    let right = loop {
        match session.next().await {
            Step::Load(right) => break right,
            Step::Found(entry) => match restore::<S, T>(&task.codec, &entry) {
                Ok(value) => {
                    if let (Some(keeper), Some(keep)) = (keeper, session.take_keep()) {
                        #[cfg(feature = "test-util")]
                        Box::pin(clock::sleep(task.plan.home.rules().keep_later)).await;
                        keeper.keep(&task.plan, expected, keep, &entry, &value);
                    }
                    return T::from_value(value);
                }
                Err(reason) => session.reject(&entry, &reason),
            },
        }
    };
    // On the heap, because a body that calls cached functions holds their futures: in place, each level of calls would
    // multiply the size of the next. A hit never comes here.
    match right {
        Right::Store(lead) => {
            Box::pin(load_and_store::<S, T, V, B, F>(
                &task.plan,
                &task.codec,
                expected,
                lead,
                task.verdict,
                task.body,
            ))
            .await
            .0
        }
        Right::Alone(reason) => {
            let recorder = Recorder::new(task.plan.home.id());
            Box::pin(load_alone(&task.plan, reason, recorder, task.body)).await
        }
        Right::Held => {
            let recorder = Recorder::under_hold(task.plan.home.id());
            Box::pin(load_alone(&task.plan, "a write is under way", recorder, task.body)).await
        }
    }
}

/// What the body uses is of no interest: nothing is made of it. An outer body must not see it as its own.
pub(super) async fn load_alone<T, B, F>(plan: &Plan, reason: &'static str, recorder: Recorder, body: B) -> T
where
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    telemetry::not_stored(plan.function.name(), &plan.key, reason);
    let began = clock::now();
    let outcome = recorder.watch(body()).await;
    plan.function.count_load(clock::now() - began);
    outcome
}

/// Runs the body; tells whether its result was for storing.
pub(super) async fn load_and_store<S, T, V, B, F>(
    plan: &Plan,
    codec: &CodecHandle<T::Payload>,
    expected: Expected,
    mut lead: Lead,
    verdict: V,
    body: B,
) -> (T, bool)
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    let recorder = Recorder::new(plan.home.id());
    let began = clock::now();
    let deadline = plan.options.load_timeout.map(|limit| began + limit);
    let body = tracing::Instrument::instrument(
        recorder.watch(body()),
        telemetry::load_span(plan.function.name(), &plan.key),
    );
    let outcome = run_kept(&mut lead, deadline, body).await;
    let took = clock::now() - began;
    plan.function.count_load(took);
    let used = recorder.into_used();
    lead.pass_on(&used);

    match to_store::<S, T, V>(plan, codec, expected, &lead, &used, took, &outcome, verdict) {
        Ok(Filling { envelope, life, stamps }) => {
            if life > STAMP_MARGIN {
                let keys: Vec<_> = stamps.iter().map(|(key, _)| key).collect();
                // A stamp that dies before its entry is a miss, so a failure here costs no more than that.
                let capture = pin!(plan.home.store().capture(&keys, life));
                let _ = plan.home.in_time(plan.options.timeout, "push stamps forward", capture).await;
            }
            lead.store(envelope, life).await;
            (outcome, true)
        }
        Err(reason) => {
            lead.not_for_storing(reason).await;
            (outcome, false)
        }
    }
}

/// What a load stores.
struct Filling {
    envelope: Vec<u8>,
    life: std::time::Duration,
    stamps: Vec<(crate::key::Key, crate::store::Stamp)>,
}

/// The envelope of a value that is to be stored, or why it is not. Apart from the awaits around it, so that no value need be
/// shared between threads.
#[expect(clippy::too_many_arguments, reason = "called in one place, and every part comes from another one")]
fn to_store<S, T, V>(
    plan: &Plan,
    codec: &CodecHandle<T::Payload>,
    expected: Expected,
    lead: &Lead,
    used: &super::dependencies::Used,
    took: std::time::Duration,
    outcome: &T,
    verdict: V,
) -> Result<Filling, &'static str>
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
{
    let value = outcome.value().ok_or("the body failed")?;
    if plan.options.track && used.unaccountable {
        return Err("made from something that was not cached");
    }
    let verdict = verdict(value);
    let payload = T::payload(value);
    let life = plan.life(payload.is_none(), verdict.ttl).filter(|_| verdict.store).ok_or("declined")?;
    let stamps = lead.dependencies(plan.options.track.then_some(used));
    let header = plan.options.aging.written(header(expected, life, took, payload.is_none()));
    let life = plan.options.aging.kept(life);
    match encode(codec, header, plan.packing(), &stamps, payload) {
        Ok(envelope) => Ok(Filling { envelope, life, stamps }),
        Err(error) => {
            plan.function.count_error();
            telemetry::unencodable(plan.function.name(), &plan.key, &error);
            Err("could not be encoded")
        }
    }
}

/// The header of an entry that is written now.
pub(super) fn header(
    expected: Expected,
    life: std::time::Duration,
    took: std::time::Duration,
    absent: bool,
) -> Header {
    let now = clock::wall_ms();
    let expires = now.saturating_add(u64::try_from(life.as_millis()).unwrap_or(u64::MAX));
    Header {
        nonce: random::bytes(),
        codec: expected.codec,
        fingerprint: expected.fingerprint,
        written_at_ms: now,
        fresh_until_ms: expires,
        expires_at_ms: expires,
        load_us: u32::try_from(took.as_micros()).unwrap_or(u32::MAX),
        absent,
        writer: Some(WriterId::current()),
    }
}

/// The envelope of a payload, or of an absence.
pub(super) fn encode<P>(
    codec: &CodecHandle<P>,
    header: Header,
    packing: Option<Packing>,
    stamps: &[(crate::key::Key, crate::store::Stamp)],
    payload: Option<&P>,
) -> Result<Vec<u8>, envelope::EncodeError> {
    let stamps = stamps.iter().map(|(key, stamp)| (key.as_bytes(), *stamp));
    envelope::encode_packed(header, packing, stamps, |out| {
        payload.map_or(Ok(()), |payload| codec.encode(payload, out))
    })
}

/// The value of an envelope that is known to be ours.
pub(super) fn restore<S, T: Outcome<S>>(
    codec: &CodecHandle<T::Payload>,
    entry: &[u8],
) -> Result<T::Value, String> {
    restored::<S, T>(codec, &Envelope::decode(entry).map_err(|error| error.to_string())?)
}

/// The same for one that has been decoded.
pub(super) fn restored<S, T: Outcome<S>>(
    codec: &CodecHandle<T::Payload>,
    envelope: &Envelope<'_>,
) -> Result<T::Value, String> {
    let payload = if envelope.header.absent {
        None
    } else {
        let bytes = envelope.unpack().map_err(|error| error.to_string())?;
        Some(codec.decode(&bytes).map_err(|error| error.to_string())?)
    };
    T::restore(payload).ok_or_else(|| "an absence where a value is expected".to_owned())
}
