//! Finds out where the answer of a call would come from. It only reads: nothing is claimed, counted, made or extended.

use std::pin::pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::aging::Age;
use super::decision::{Expected, Finding, Stale, judge};
use super::explanation::{
    EntryFacts, Explanation, Miss, RenewalState, SlotState, Source, StampCondition, StampFacts, StampKind,
    StoreFacts,
};
use super::plan::{Mode, Plan};
use crate::clock;
use crate::codec::envelope::{Envelope, FORMAT_VERSION};
use crate::connection::Connection;
use crate::error::Result;
use crate::key::{Key, refresh_of};
use crate::store::{AnyStore, Freshness, Lease, Slot, Stamp, StampState, Store, Values};

/// `is_at_hand`: the process has the value in its memory. `readable` says whether this build can make a value of an entry's bytes.
pub(super) async fn explain(
    plan: &Plan,
    expected: Expected,
    is_at_hand: bool,
    readable: impl Fn(&[u8]) -> Result<(), String> + Send,
) -> Explanation {
    let mut explanation = Explanation {
        function: plan.function.name(),
        key: plan.key.to_string(),
        asked_at: time(clock::wall_ms()),
        source: Source::Invalidations,
        slot: SlotState::Unknown,
        remaining: None,
        entry: None,
        renewal: plan.home.attempts().state(&plan.key),
        stamps: Vec::new(),
        store: store_facts(plan),
    };
    match look(plan).await {
        Ok(look) => {
            look.describe(plan, expected, &mut explanation);
            explanation.source = look.source(plan, expected, &explanation, readable);
        }
        Err(_) if owes(plan) => {}
        Err(error) => explanation.source = Source::Body { because: error.to_string() },
    }
    if is_at_hand {
        explanation.source = Source::Memory;
    }
    if plan.mode == Mode::Bypass {
        explanation.source = Source::Body { because: "the call bypasses the cache".to_owned() };
    }
    explanation
}

/// Whether a server lacks something that this process has invalidated, so that it is not read.
fn owes(plan: &Plan) -> bool {
    let strangers = plan.home.store().connection().is_some_and(Connection::has_strangers);
    (strangers || !plan.home.kept().is_empty()) && !plan.home.store().is_sheltered(&plan.key)
}

fn store_facts(plan: &Plan) -> StoreFacts {
    let store = plan.home.store();
    StoreFacts {
        topology: match store {
            AnyStore::Memory(_) => "embedded",
            AnyStore::Redis(store) => store.connection().topology_name(),
            AnyStore::Unusable(_) => "none",
        },
        is_refuge: store.is_sheltered(&plan.key),
        pending_invalidations: plan.home.kept().count(),
        servers: store.connection().map(Connection::status).unwrap_or_default(),
    }
}

/// Everything that was read.
struct Look {
    slot: Option<bytes::Bytes>,
    remaining: Option<Duration>,
    declared: Vec<(Key, Option<StampState>)>,
    /// What the entry names and the plan does not: the stamp in the entry, and how it is now.
    others: Vec<(Key, Stamp, Option<StampState>)>,
    /// Whether a process renews the entry.
    is_claimed: bool,
}

async fn look(plan: &Plan) -> Result<Look> {
    plan.home.open("explain")?;
    let claim = plan.options.aging.is_renewed().then(|| refresh_of(&plan.key));
    let keys: Vec<&Key> = std::iter::once(&plan.key).chain(plan.stamps()).chain(&claim).collect();
    let mut values = read(plan, &keys).await?;
    let is_claimed = claim.is_some() && values.pop().flatten().is_some();
    let states: Vec<_> = values[1..].iter().map(|value| StampState::of(value.as_deref())).collect();
    let declared: Vec<_> = plan.stamps().iter().cloned().zip(states).collect();
    let slot = values[0].take();
    let named: Vec<(Key, Stamp)> = slot
        .as_deref()
        .and_then(|bytes| Envelope::decode(bytes).ok())
        .into_iter()
        .flat_map(|envelope| envelope.stamps)
        .map(|(name, stamp)| (Key(name.into()), stamp))
        .filter(|(name, _)| !plan.stamps().contains(name))
        .collect();
    let mut others = Vec::with_capacity(named.len());
    if !named.is_empty() {
        let keys: Vec<&Key> = named.iter().map(|(name, _)| name).collect();
        let values = read(plan, &keys).await?;
        let states = values.iter().map(|value| StampState::of(value.as_deref()));
        others.extend(named.iter().zip(states).map(|((name, stamp), state)| (name.clone(), *stamp, state)));
    }
    let remaining = match slot {
        Some(_) => {
            let ask = pin!(plan.home.store().time_to_live(&plan.key));
            plan.home.in_time(plan.options.timeout, "read the time to live", ask).await?
        }
        None => None,
    };
    Ok(Look { slot, remaining, declared, others, is_claimed })
}

async fn read(plan: &Plan, keys: &[&Key]) -> Result<Values> {
    let read = pin!(plan.home.store().read(keys, Freshness::Current));
    Ok(plan.home.in_time(plan.options.timeout, "read", read).await?.values)
}

impl Look {
    fn envelope(&self) -> Option<Envelope<'_>> {
        Envelope::decode(self.slot.as_deref()?).ok()
    }

    fn describe(&self, plan: &Plan, expected: Expected, explanation: &mut Explanation) {
        explanation.slot = match Slot::of(self.slot.as_deref()) {
            Slot::Absent => SlotState::Absent,
            Slot::Value(_) => SlotState::Value,
            Slot::Lease(_) => SlotState::Lease,
            Slot::Hold => SlotState::Hold,
            Slot::Foreign(bytes) if Lease::is_mark(bytes) => SlotState::Mark,
            Slot::Foreign(_) => SlotState::Foreign,
        };
        explanation.remaining = self.remaining;
        if self.is_claimed {
            explanation.renewal.get_or_insert(RenewalState::UnderWay { in_this_process: false });
        }
        let envelope = self.envelope();
        explanation.entry = envelope.as_ref().map(|envelope| self.entry(envelope, expected));
        let of = |name: &Key| {
            envelope.as_ref().map(|envelope| {
                envelope.stamps.clone().find(|(named, _)| *named == name.as_bytes()).map(|(_, stamp)| stamp)
            })
        };
        let declared = self.declared.iter().map(|(name, state)| StampFacts {
            name: name.to_string(),
            kind: kind(name),
            state: match (of(name), state) {
                (_, Some(StampState::Held)) => StampCondition::Held,
                (Some(None), _) => StampCondition::NotNamed,
                (None, Some(StampState::Current(_))) => StampCondition::Current,
                (Some(Some(stamp)), state) => condition(stamp, *state),
                (None, None) => StampCondition::Missing,
            },
        });
        let others = self.others.iter().filter(|(name, ..)| *name != plan.key).map(|(name, stamp, state)| {
            StampFacts { name: name.to_string(), kind: kind(name), state: condition(*stamp, *state) }
        });
        explanation.stamps = declared.chain(others).collect();
    }

    fn entry(&self, envelope: &Envelope<'_>, expected: Expected) -> EntryFacts {
        let header = envelope.header;
        EntryFacts {
            written_at: time(header.written_at_ms),
            written_by: header.writer,
            fresh_until: time(header.fresh_until_ms),
            expires_at: time(header.expires_at_ms),
            load_time: Duration::from_micros(header.load_us.into()),
            is_absence: header.absent,
            format_version: FORMAT_VERSION,
            codec: header.codec,
            fingerprint_matches: header.codec == expected.codec && header.fingerprint == expected.fingerprint,
            envelope_bytes: self.slot.as_ref().map_or(0, bytes::Bytes::len),
            payload_bytes: envelope.payload.len(),
            compression: envelope.compression.map(crate::codec::Compression::name),
            decompressed_bytes: envelope.unpack().ok().map(|bytes| bytes.len()),
        }
    }

    /// What the look-up of a call would conclude from the same.
    fn source(
        &self,
        plan: &Plan,
        expected: Expected,
        told: &Explanation,
        readable: impl Fn(&[u8]) -> Result<(), String>,
    ) -> Source {
        let declared: Vec<_> = self.declared.iter().map(|(name, state)| (name, *state)).collect();
        let slot = self.slot.as_deref();
        let load = |because| Source::Load { because };
        let is_held = declared.iter().any(|(_, state)| *state == Some(StampState::Held));
        match judge(slot, &declared, expected) {
            Finding::Held => Source::Held,
            // A load over foreign bytes would find out when it claims.
            _ if is_held => Source::Held,
            _ if plan.mode == Mode::Refresh => load(Miss::Refresh),
            Finding::Value { .. } if told.stamps.iter().any(|stamp| stamp.state.is_in_the_way()) => {
                load(Miss::Invalidated)
            }
            Finding::Value { .. } => match readable(slot.unwrap_or_default()) {
                Ok(()) => self.source_by_age(plan, told.renewal),
                Err(reason) => load(Miss::Undecodable(reason)),
            },
            Finding::Absent => load(Miss::Absent),
            Finding::Leased(lease) => {
                Source::OtherLoad { in_this_process: plan.home.flights().holding(&plan.key, lease).is_some() }
            }
            Finding::Stale { reason, .. } => load(match reason {
                Stale::Undecodable(error) => Miss::Undecodable(error.to_string()),
                Stale::Foreign if slot.is_some_and(Lease::is_mark) => Miss::PutUnderWay,
                Stale::Foreign => Miss::Foreign,
                Stale::OtherShape => Miss::OtherShape,
                Stale::Invalidated => Miss::Invalidated,
            }),
        }
    }

    /// The same for an entry that is valid.
    fn source_by_age(&self, plan: &Plan, renewal: Option<RenewalState>) -> Source {
        let entry = self.slot.as_deref().unwrap_or_default();
        match (plan.options.aging.age_without_chance(entry), renewal) {
            (Age::Fresh, _) => Source::Entry,
            (Age::Due, _) => Source::Due,
            (Age::Ended, Some(RenewalState::UnderWay { in_this_process })) => {
                Source::OtherLoad { in_this_process }
            }
            (Age::Ended, Some(RenewalState::Paused { .. })) => Source::Stale,
            (Age::Ended, None) => Source::Load { because: Miss::Ended },
        }
    }
}

fn condition(stamp: Stamp, state: Option<StampState>) -> StampCondition {
    match state {
        Some(StampState::Current(current)) if current == stamp => StampCondition::Current,
        Some(StampState::Current(_)) => StampCondition::Changed,
        Some(StampState::Held) => StampCondition::Held,
        None => StampCondition::Missing,
    }
}

/// What a stamp's key says of itself.
fn kind(name: &Key) -> StampKind {
    let name = name.to_string();
    match name.split_once('#') {
        _ if name.ends_with("}#stamp") => StampKind::Entry,
        Some((_, "all")) => StampKind::Everything,
        Some((_, "servers")) => StampKind::Servers,
        Some((_, rest)) if rest.starts_with("function:") || rest.starts_with("template:") => {
            StampKind::Function
        }
        _ => StampKind::Tag,
    }
}

/// The time of so many milliseconds after the Unix epoch, at most the last that has a year of four digits: entries can lie.
fn time(millis: u64) -> SystemTime {
    const LAST: u64 = 253_402_300_799_999;
    UNIX_EPOCH.checked_add(Duration::from_millis(millis.min(LAST))).unwrap_or(UNIX_EPOCH)
}
