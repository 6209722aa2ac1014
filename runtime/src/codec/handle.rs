//! A codec for one value type as a small copyable value, and the memory for its fingerprint.

use std::collections::HashMap;
use std::fmt;
use std::sync::{OnceLock, PoisonError, RwLock};

use super::{Codec, CodecError};

/// A codec for values of the type `T`, without the codec's type.
///
/// Code that only moves values in and out of the cache would otherwise be compiled once per codec.
pub struct CodecHandle<T> {
    id: u8,
    encode: fn(&T, &mut Vec<u8>) -> Result<(), CodecError>,
    decode: fn(&[u8]) -> Result<T, CodecError>,
    fingerprint: fn() -> u64,
}

/// Makes the handle of the codec `C` for values of the type `T`.
///
/// ```
/// use keylatch::codec::{self, FingerprintCell, MessagePack};
///
/// static FINGERPRINT: FingerprintCell = FingerprintCell::new();
///
/// let codec = codec::codec::<MessagePack, Vec<u32>>();
/// let mut bytes = Vec::new();
/// codec.encode(&vec![1, 2], &mut bytes)?;
/// assert_eq!(codec.decode(&bytes)?, [1, 2]);
/// assert_eq!(codec.fingerprint(&FINGERPRINT), codec.fingerprint(&FINGERPRINT));
/// # Ok::<(), keylatch::codec::CodecError>(())
/// ```
#[must_use]
pub const fn codec<C: Codec<T>, T>() -> CodecHandle<T> {
    CodecHandle { id: C::ID, encode: C::encode, decode: C::decode, fingerprint: C::fingerprint }
}

impl<T> CodecHandle<T> {
    /// The number of the codec in an envelope.
    #[must_use]
    pub const fn id(&self) -> u8 {
        self.id
    }

    /// Appends the bytes of `value` to `out`.
    ///
    /// # Errors
    ///
    /// When the codec cannot represent the value.
    pub fn encode(&self, value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        (self.encode)(value, out)
    }

    /// Reads a value back.
    ///
    /// # Errors
    ///
    /// When `bytes` are not exactly one value.
    pub fn decode(&self, bytes: &[u8]) -> Result<T, CodecError> {
        (self.decode)(bytes)
    }

    /// The fingerprint of the shape of `T` under this codec, computed once and then remembered in `cell`.
    #[must_use]
    pub fn fingerprint(&self, cell: &FingerprintCell) -> u64 {
        cell.get(self.fingerprint)
    }
}

// Written by hand, since the derives would demand the same of `T`.
impl<T> Clone for CodecHandle<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for CodecHandle<T> {}

impl<T> fmt::Debug for CodecHandle<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CodecHandle").field("id", &self.id).finish_non_exhaustive()
    }
}

/// Remembers fingerprints for the place that asks for them, at the price of a load and a comparison.
///
/// Every cached function owns one as a `static`. All instantiations of a generic function share that static, so an
/// entry carries the address of the function that computes the fingerprint. Four instantiations find their entry
/// here; any further one goes through a table of the whole process, which takes a lock.
#[derive(Debug, Default)]
pub struct FingerprintCell {
    slots: [OnceLock<(usize, u64)>; SLOTS],
}

const SLOTS: usize = 4;

impl FingerprintCell {
    /// Makes an empty cell.
    #[must_use]
    pub const fn new() -> Self {
        Self { slots: [const { OnceLock::new() }; SLOTS] }
    }

    // An address identifies the function well enough. The linker may fold two functions into one address only when
    // their code is the same, and then so are their results; a function with two addresses is computed twice.
    fn get(&self, compute: fn() -> u64) -> u64 {
        let address = compute as usize;
        for slot in &self.slots {
            let &(owner, fingerprint) = slot.get().unwrap_or_else(|| {
                // Computed outside the slot: it runs foreign code, which might ask this very cell.
                let entry = (address, shared(address, compute));
                slot.get_or_init(|| entry)
            });
            if owner == address {
                return fingerprint;
            }
        }
        shared(address, compute)
    }
}

/// Looks the fingerprint up in the table of the whole process, and computes it when it is not there yet.
#[cold]
fn shared(address: usize, compute: fn() -> u64) -> u64 {
    static TABLE: OnceLock<RwLock<HashMap<usize, u64>>> = OnceLock::new();
    let table = TABLE.get_or_init(RwLock::default);
    // The table is complete after every insertion, so a panic elsewhere does not spoil it.
    if let Some(&fingerprint) = table.read().unwrap_or_else(PoisonError::into_inner).get(&address) {
        return fingerprint;
    }
    let fingerprint = compute();
    table.write().unwrap_or_else(PoisonError::into_inner).insert(address, fingerprint);
    fingerprint
}

#[cfg(test)]
mod tests {
    use super::super::{Codec, MessagePack};
    use super::{FingerprintCell, codec};

    #[test]
    fn one_cell_serves_many_instantiations() {
        fn check<T>(cell: &FingerprintCell)
        where
            MessagePack: Codec<T>,
        {
            let expected = <MessagePack as Codec<T>>::fingerprint();
            assert_eq!(codec::<MessagePack, T>().fingerprint(cell), expected);
        }
        let cell = FingerprintCell::new();
        for _ in 0..2 {
            check::<u8>(&cell);
            check::<u16>(&cell);
            check::<u32>(&cell);
            check::<u64>(&cell);
            check::<String>(&cell);
            check::<Vec<u8>>(&cell);
        }
    }

    #[test]
    fn a_handle_needs_nothing_of_the_value_type() {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Plain(u8);
        let handle = codec::<MessagePack, Plain>();
        let copy = handle;
        assert_eq!(format!("{handle:?}"), "CodecHandle { id: 1, .. }");
        assert_eq!(copy.decode(&[9]).unwrap().0, 9);
    }
}
