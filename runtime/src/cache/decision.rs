//! What a slot and the stamps beside it mean for a reader: a pure function, no I/O.

use smallvec::SmallVec;

use crate::codec::envelope::{self, Envelope, EnvelopeError};
use crate::key::{Key, is_servers};
use crate::store::{Lease, Slot, Stamp, StampState};

/// What the reader's build expects of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) codec: u8,
    pub(crate) fingerprint: u64,
}

/// What was found in the slot.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Finding {
    Absent,
    /// A value that every declared stamp vouches for, if these others do, too.
    Value {
        others: Vec<(Key, Stamp)>,
    },
    /// Something of no use: it may be replaced as long as the slot begins with this.
    Stale {
        prefix: Prefix,
        reason: Stale,
    },
    Leased(Lease),
    /// A write is under way: load, but do not store.
    Held,
}

/// The first bytes of a slot, enough to tell this write from every other.
pub(crate) type Prefix = SmallVec<[u8; 17]>;

/// Why a value is of no use.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Stale {
    Undecodable(EnvelopeError),
    Foreign,
    /// Written by a build with another type, codec or version.
    OtherShape,
    /// Something it depends on was invalidated.
    Invalidated,
}

/// Judges a slot. `declared` are the stamps that the reader's plan names, with their states as read in the same go.
pub(crate) fn judge(
    slot: Option<&[u8]>,
    declared: &[(&Key, Option<StampState>)],
    expected: Expected,
) -> Finding {
    let bytes = match Slot::of(slot) {
        Slot::Absent => return held_or(declared, Finding::Absent),
        Slot::Lease(lease) => return held_or(declared, Finding::Leased(lease)),
        Slot::Hold => return Finding::Held,
        Slot::Foreign(bytes) => return stale(bytes, Stale::Foreign),
        Slot::Value(bytes) => bytes,
    };
    let finding = match Envelope::decode(bytes) {
        Err(error) => stale(bytes, Stale::Undecodable(error)),
        Ok(envelope) if !envelope_fits(&envelope, expected) => stale(bytes, Stale::OtherShape),
        Ok(envelope) => match vouch(&envelope, declared) {
            Some(others) => Finding::Value { others },
            None => stale(bytes, Stale::Invalidated),
        },
    };
    match finding {
        Finding::Value { .. } => finding,
        other => held_or(declared, other),
    }
}

/// A hold of any stamp concerns whoever would load.
fn held_or(declared: &[(&Key, Option<StampState>)], finding: Finding) -> Finding {
    if declared.iter().any(|(_, state)| *state == Some(StampState::Held)) { Finding::Held } else { finding }
}

pub(super) fn envelope_fits(envelope: &Envelope<'_>, expected: Expected) -> bool {
    envelope.header.codec == expected.codec && envelope.header.fingerprint == expected.fingerprint
}

/// The stamps that remain to be checked, or `None` if a declared one is missing on either side or differs.
pub(super) fn vouch(
    envelope: &Envelope<'_>,
    declared: &[(&Key, Option<StampState>)],
) -> Option<Vec<(Key, Stamp)>> {
    let mut others = Vec::new();
    let mut vouched = 0;
    for (name, value) in envelope.stamps.clone() {
        match declared.iter().find(|(key, _)| key.as_bytes() == name) {
            Some((_, Some(StampState::Current(current)))) if *current == value => vouched += 1,
            Some(_) => return None,
            None => others.push((Key(name.into()), value)),
        }
    }
    if !others.is_empty() {
        // They are checked by a second read, and another server may answer that one: which may have its stamps, but not the
        // value, from before an invalidation that the first one knew.
        others.extend(declared.iter().filter(|(key, _)| is_servers(key)).filter_map(|(key, state)| {
            let Some(StampState::Current(stamp)) = state else { return None };
            Some(((*key).clone(), *stamp))
        }));
    }
    (vouched >= declared.len()).then_some(others)
}

fn stale(bytes: &[u8], reason: Stale) -> Finding {
    let whole = &bytes[..bytes.len().min(64)];
    Finding::Stale { prefix: envelope::prefix(bytes).unwrap_or(whole).into(), reason }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::{Header, encode};

    const EXPECTED: Expected = Expected { codec: 1, fingerprint: 2 };

    fn entry(stamps: &[(&str, Stamp)]) -> Vec<u8> {
        let header = Header {
            nonce: [0; 8],
            codec: EXPECTED.codec,
            fingerprint: EXPECTED.fingerprint,
            written_at_ms: 0,
            fresh_until_ms: 0,
            expires_at_ms: 0,
            load_us: 0,
            absent: false,
            writer: None,
        };
        let stamps: Vec<(&[u8], Stamp)> =
            stamps.iter().map(|(name, stamp)| (name.as_bytes(), *stamp)).collect();
        encode(header, stamps.into_iter(), |_| Ok(())).expect("a good entry")
    }

    /// The servers are declared; the second read, of what is not, may be answered by others.
    #[test]
    fn a_second_read_must_be_of_the_same_servers() {
        let key = |name: &str| Key(name.as_bytes().into());
        let servers = key("test#servers");
        let declared = [(&servers, Some(StampState::Current([7; 8])))];
        let alone = entry(&[("test#servers", [7; 8])]);
        assert_eq!(judge(Some(&alone), &declared, EXPECTED), Finding::Value { others: Vec::new() });
        let made = entry(&[("{other}#stamp", [1; 8]), ("test#servers", [7; 8])]);
        let others = vec![(key("{other}#stamp"), [1; 8]), (servers.clone(), [7; 8])];
        assert_eq!(judge(Some(&made), &declared, EXPECTED), Finding::Value { others });
        let other_servers = [(&servers, Some(StampState::Current([8; 8])))];
        assert!(matches!(
            judge(Some(&made), &other_servers, EXPECTED),
            Finding::Stale { reason: Stale::Invalidated, .. }
        ));
    }
}
