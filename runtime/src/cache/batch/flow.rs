//! The one generic path of every cached batch: what touches the records. Everything else is in [`session`](super::session) and
//! [`leads`](super::leads), compiled once.

use std::future::Future;
use std::time::Duration;

use bytes::Bytes;

use super::entries::{Entries, Item};
use super::leads::{Lead, Leads, Settled};
use super::look::{Looker, Stamps};
use super::outcome::{BatchOutcome, Gathering};
use super::session::{Round, Session};
use crate::cache::decision::{Expected, Finding};
use crate::cache::dependencies::{Recorder, Used};
use crate::cache::flow::{encode, expected, header};
use crate::cache::outcome::Verdict;
use crate::cache::plan::{Mode, Plan};
use crate::clock::{self, Instant};
use crate::codec::CodecHandle;
use crate::codec::envelope::Envelope;
use crate::error::Result;
use crate::store::Freshness;
use crate::telemetry;

/// One call, with everything it needs.
#[derive(Debug)]
pub(crate) struct Task<K, P, V, B, M> {
    pub(super) entries: Entries<K>,
    pub(super) gathering: Gathering<K, M, P>,
    pub(super) codec: CodecHandle<P>,
    pub(super) verdict: V,
    pub(super) body: B,
}

/// Answers one call.
pub(super) async fn read_through<S, K, T, P, V, B, F>(task: Task<K, P, V, B, T::Value>) -> T
where
    K: Clone,
    T: BatchOutcome<S>,
    V: Fn(&P) -> Verdict,
    B: Fn(Vec<K>) -> F,
    F: Future<Output = T>,
{
    // In parts of its own, of which none that is generic is borrowed while something is awaited: arguments need not be `Sync`.
    let Task { entries: Entries { plan, ids, items, places }, gathering, codec, verdict, body } = task;
    let given = |ids: &[K]| -> Vec<K> { places.iter().map(|&place| ids[place].clone()).collect() };
    if plan.mode == Mode::Bypass {
        let body = body(given(&ids));
        return Box::pin(body).await;
    }
    let expected = expected(&plan, &codec);
    let mut records: Vec<Option<Option<P>>> = items.iter().map(|_| None).collect();
    let mut session = Session::new(&plan, &items, expected);
    while !session.is_done() {
        let Round { found, mut leads, alone } = Box::pin(session.round()).await;
        for (item, entry) in found {
            match restore(&codec, &entry) {
                Ok(record) => records[item] = Some(record),
                Err(reason) => session.reject(item, &entry, &reason),
            }
        }
        if leads.is_empty() && alone.is_empty() {
            continue;
        }
        let mut asked: Vec<usize> = leads.iter().map(|lead| lead.item).chain(alone).collect();
        asked.sort_unstable();
        let missing: Vec<K> = asked.iter().map(|&item| ids[item].clone()).collect();
        let run = Run::begin(&plan, missing.len(), items.len());
        // On the heap, as every load: see the flow of single calls.
        let outcome = Box::pin(run.watch(&mut leads, body(missing.clone()))).await;
        let run = run.end(&session);
        let value = match outcome.into_value() {
            Ok(value) => value,
            Err(outcome) => {
                leads.not_for_storing("the body failed").await;
                return outcome;
            }
        };
        match (gathering.split)(value, &missing) {
            Ok(loaded) => {
                for (item, record) in asked.into_iter().zip(loaded) {
                    records[item] = Some(record);
                }
                let settle = |lead: &Lead| {
                    let record = records[lead.item].as_ref().and_then(Option::as_ref);
                    run.settled(lead, record, expected, &codec, &verdict)
                };
                let settled = leads.iter().map(settle).collect();
                leads.settle(settled).await;
            }
            Err(value) => {
                telemetry::batch_mismatched(plan.function.name(), missing.len());
                leads.not_for_storing("as many records as ids were expected").await;
                // Nobody can tell which record is whose, so the answer is the one that the function gives for the very ids
                // of this call.
                if missing.len() == places.len() {
                    return T::from_value(value);
                }
                let again = body(given(&ids));
                return Box::pin(Recorder::new(plan.home.id()).watch(again)).await;
            }
        }
    }
    drop(session);
    T::from_value((gathering.gather)(ids, records.into_iter().map(Option::flatten).collect(), &places))
}

/// One run of the body, for the records that nobody has.
struct Run<'a> {
    plan: &'a Plan,
    recorder: Recorder,
    began: Instant,
    span: tracing::Span,
}

impl<'a> Run<'a> {
    fn begin(plan: &'a Plan, missing: usize, asked: usize) -> Self {
        let span = telemetry::batch_span(plan.function.name(), missing, asked);
        Self { plan, recorder: Recorder::new(plan.home.id()), began: clock::now(), span }
    }

    /// Runs the body while the leases are kept.
    fn watch<F: Future>(&self, leads: &mut Leads<'_>, body: F) -> impl Future<Output = F::Output> {
        let deadline = self.plan.options.load_timeout.map(|limit| self.began + limit);
        let body = tracing::Instrument::instrument(self.recorder.watch(body), self.span.clone());
        leads.run_kept(deadline, body)
    }

    fn end(self, session: &Session<'_>) -> Ran<'a> {
        let took = clock::now() - self.began;
        self.plan.function.count_load(took);
        let used = self.recorder.into_used();
        session.pass_on(&used);
        Ran { plan: self.plan, took, used }
    }
}

/// A run that has ended.
struct Ran<'a> {
    plan: &'a Plan,
    took: Duration,
    used: Used,
}

impl Ran<'_> {
    /// What becomes of one record.
    fn settled<P>(
        &self,
        lead: &Lead,
        record: Option<&P>,
        expected: Expected,
        codec: &CodecHandle<P>,
        verdict: impl FnOnce(&P) -> Verdict,
    ) -> Settled {
        let Self { plan, took, used } = self;
        if plan.options.track && used.unaccountable {
            return Settled::Decline("made from something that was not cached");
        }
        let verdict = record.map_or(Verdict { store: true, ttl: None }, verdict);
        let Some(life) = plan.life(record.is_none(), verdict.ttl).filter(|_| verdict.store) else {
            return Settled::Decline("declined");
        };
        let stamps = lead.dependencies(plan.options.track.then_some(used));
        match encode(codec, header(expected, life, *took, record.is_none()), plan.packing(), &stamps, record)
        {
            Ok(envelope) => Settled::Store { envelope, life },
            Err(error) => {
                plan.function.count_error();
                telemetry::unencodable(plan.function.name(), lead.key(), &error);
                Settled::Decline("could not be encoded")
            }
        }
    }
}

/// The record of an envelope that is known to be ours; `None` for an absence.
pub(super) fn restore<P>(codec: &CodecHandle<P>, entry: &[u8]) -> Result<Option<P>, String> {
    let envelope = Envelope::decode(entry).map_err(|error| error.to_string())?;
    if envelope.header.absent {
        return Ok(None);
    }
    let bytes = envelope.unpack().map_err(|error| error.to_string())?;
    codec.decode(&bytes).map(Some).map_err(|error| error.to_string())
}

/// The entries that are valid.
pub(super) async fn peek(plan: &Plan, items: &[Item], expected: Expected) -> Result<Vec<Option<Bytes>>> {
    let Some(first) = items.first() else { return Ok(Vec::new()) };
    plan.home.repeat_kept_invalidations(&first.key).await?;
    let stamps = Stamps::of(plan, items, false);
    let looker = Looker { plan, items, stamps: &stamps };
    let all: Vec<usize> = (0..items.len()).collect();
    let looks = looker.look(&all, Freshness::Current).await?;
    let mut named = Vec::with_capacity(looks.len());
    let mut found = Vec::with_capacity(looks.len());
    for look in looks {
        let (entry, others) = match look.finding(&stamps, expected) {
            Finding::Value { others } => (look.slot, others),
            _ => (None, Vec::new()),
        };
        found.push(entry);
        named.push(others);
    }
    let current = looker.current(&named).await?;
    Ok(found.into_iter().zip(current).map(|(entry, current)| entry.filter(|_| current)).collect())
}
