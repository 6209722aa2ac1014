//! What a slot and a stamp can hold, told by the first byte.

use std::fmt;
use std::time::Duration;

use crate::codec::envelope;
use crate::random;

const LEASE: u8 = b'L';
const HOLD: u8 = b'H';
const MARK: u8 = b'P';
const STAMP: u8 = b'S';

/// The states of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Slot<'a> {
    Absent,
    /// An envelope, not yet decoded.
    Value(&'a [u8]),
    /// Somebody loads.
    Lease(Lease),
    /// Load, but do not store.
    Hold,
    /// Bytes of nobody we know, or a writer's [mark](Lease::mark): a miss, replaced by the next fill.
    Foreign(&'a [u8]),
}

impl<'a> Slot<'a> {
    pub(crate) fn of(bytes: Option<&'a [u8]>) -> Self {
        let Some(bytes) = bytes else { return Self::Absent };
        match bytes.first() {
            Some(&envelope::VALUE) => Self::Value(bytes),
            Some(&LEASE) => Lease::try_from(bytes).map_or(Self::Foreign(bytes), Self::Lease),
            Some(&HOLD) => Self::Hold,
            _ => Self::Foreign(bytes),
        }
    }
}

/// The right to fill a slot: `L` and 16 random bytes, new for each load.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lease([u8; 17]);

impl Lease {
    pub(crate) fn new() -> Self {
        let mut lease = [LEASE; 17];
        lease[1..].copy_from_slice(&random::bytes::<16>());
        Self(lease)
    }

    /// `P` and 16 random bytes: the right of a writer to put its value, which nobody waits for. Readers take it for
    /// foreign bytes, and load over it.
    pub(crate) fn mark() -> Self {
        let mut mark = Self::new();
        mark.0[0] = MARK;
        mark
    }

    /// Whether the bytes of a slot are a [mark](Self::mark).
    pub(crate) fn is_mark(bytes: &[u8]) -> bool {
        bytes.len() == 17 && bytes[0] == MARK
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// How long a mark stays. A writer that takes longer invalidates instead of putting.
pub(crate) const MARK_LIFE: Duration = Duration::from_secs(5 * 60);

impl TryFrom<&[u8]> for Lease {
    type Error = std::array::TryFromSliceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self)
    }
}

impl fmt::Debug for Lease {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lease(..)")
    }
}

/// A new hold: `H` and 16 random bytes, so that its owner can extend and release it.
pub(crate) fn new_hold() -> [u8; 17] {
    let mut hold = [HOLD; 17];
    hold[1..].copy_from_slice(&random::bytes::<16>());
    hold
}

/// What a stamp is compared by.
pub(crate) type Stamp = [u8; 8];

/// The states of a stamp after it was read or created.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StampState {
    Current(Stamp),
    /// A write is under way: nothing made under this stamp may be stored.
    Held,
}

impl StampState {
    /// `None` where the key is absent or holds something else.
    pub(crate) fn of(bytes: Option<&[u8]>) -> Option<Self> {
        match bytes? {
            [STAMP, stamp @ ..] => stamp.try_into().ok().map(Self::Current),
            [HOLD, ..] => Some(Self::Held),
            _ => None,
        }
    }
}

/// The bytes of a new stamp: `S` and 8 random bytes.
pub(crate) fn new_stamp() -> [u8; 9] {
    let mut stamp = [STAMP; 9];
    stamp[1..].copy_from_slice(&random::bytes::<8>());
    stamp
}
