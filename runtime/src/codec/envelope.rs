//! The bytes around a cached value: version 2 of the wire format, its encoder and its validating decoder.
//!
//! All integers are little endian.
//!
//! | bytes  | content |
//! |--------|---------|
//! | 0      | [`VALUE`], the letter `V` |
//! | 1      | [`FORMAT_VERSION`] |
//! | 2      | flags: bit 0 is set for a cached absence, whose payload is empty; bit 1 for a payload compressed by lz4, bit 2 for one by zstd; bit 3 if the writer is told; the others are 0 |
//! | 3..11  | nonce; bytes 0..11 identify this very write for compare-and-replace |
//! | 11     | codec |
//! | 12..20 | fingerprint of the value's shape |
//! | 20..28 | written at, wall-clock milliseconds since the Unix epoch |
//! | 28..36 | fresh until, likewise |
//! | 36..44 | expires at, likewise |
//! | 44..48 | load time in microseconds |
//! | 48..56 | XXH3 of the bytes from 56, its halves exchanged, xor the XXH3 of bytes 0..48 |
//! | 56..58 | number of stamps, at most [`MAX_STAMPS`] |
//! | then   | each stamp: length of its name (2 bytes, at most [`MAX_STAMP_NAME`]), the name, 8 bytes of value |
//! | then   | with bit 3: the writer, 8 bytes ([`WriterId`]) |
//! | then   | payload; with bit 1 or 2: its length before compression (4 bytes), and the compressed bytes |
//!
//! The checksum guards against damage, not against an attacker: whoever can write to the cache can forge it. It is
//! there because a codec would happily read a damaged payload as another value.

mod writer;

use std::borrow::Cow;

use twox_hash::XxHash3_64;

use super::CodecError;
use super::compression::{self, Compression, Packing};

pub use writer::WriterId;

/// The first byte of a slot that holds an envelope.
pub const VALUE: u8 = b'V';
/// The version of the format that this module writes, and the only one it reads.
pub const FORMAT_VERSION: u8 = 2;
/// The length of the prefix that identifies one write: kind, version, flags and nonce.
pub const PREFIX_LEN: usize = 11;
/// The length of everything before the first stamp, and so the shortest envelope.
pub const FIXED_LEN: usize = 58;
/// The most stamps an envelope can carry.
pub const MAX_STAMPS: usize = 1024;
/// The longest name of a stamp, in bytes.
pub const MAX_STAMP_NAME: usize = 1024;

const ABSENT: u8 = 1;
const WRITER: u8 = 1 << 3;
const KNOWN_FLAGS: u8 = ABSENT | compression::FLAGS | WRITER;
const FLAGS_AT: usize = 2;
const CHECKSUM_AT: usize = 48;
const STAMPS_AT: usize = 56;

/// What an envelope says about its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Random bytes that make this write different from every other.
    pub nonce: [u8; 8],
    /// The number of the codec that wrote the payload.
    pub codec: u8,
    /// The fingerprint of the value's shape under that codec.
    pub fingerprint: u64,
    /// When the value was written, by the writer's clock, in milliseconds since the Unix epoch.
    pub written_at_ms: u64,
    /// Until when the value needs no refresh, likewise.
    pub fresh_until_ms: u64,
    /// When the value ends, likewise. The hard end is that of the key in Redis.
    pub expires_at_ms: u64,
    /// How long loading the value took, in microseconds.
    pub load_us: u32,
    /// Whether this is a cached absence, which has no payload.
    pub absent: bool,
    /// Which process wrote the value, where that is told.
    pub writer: Option<WriterId>,
}

/// A decoded envelope, borrowing from the bytes it was read from.
#[derive(Debug, Clone)]
pub struct Envelope<'a> {
    /// What the envelope says about the value.
    pub header: Header,
    /// The stamps the value depends on.
    pub stamps: Stamps<'a>,
    /// How the payload is compressed, if it is.
    pub compression: Option<Compression>,
    /// The encoded value as it is stored, which may be compressed; empty for a cached absence.
    pub payload: &'a [u8],
}

/// The stamps of an envelope: an iterator over names and values that reads them where they are.
#[derive(Debug, Clone)]
pub struct Stamps<'a> {
    // Always holds exactly `left` well-formed stamps, checked when the envelope was decoded.
    bytes: &'a [u8],
    left: u16,
}

/// Why bytes are not an envelope that this version can read. All of these count as a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum EnvelopeError {
    /// A length does not fit into the bytes there are.
    #[error("the envelope is cut short")]
    Truncated,
    /// The slot holds something else.
    #[error("the bytes are not an envelope")]
    NotAnEnvelope,
    /// Another version of keylatch wrote the envelope.
    #[error("the envelope has the unknown format version {0}")]
    UnknownVersion(u8),
    /// A flag is set that this version does not know.
    #[error("the envelope has the unknown flags {0:#04x}")]
    UnknownFlags(u8),
    /// The payload is compressed in a way whose feature this build does not have.
    #[error("the payload is compressed by `{0}`, and this build lacks the feature of that name")]
    MissingFeature(&'static str),
    /// The compressed payload is not what it says it is.
    #[error("the compressed payload cannot be read")]
    Decompression,
    /// A number of stamps or a length of a name is over its limit.
    #[error("the stamps of the envelope are over their limits")]
    StampLimit,
    /// A cached absence has a payload.
    #[error("a cached absence has a payload")]
    AbsentWithPayload,
    /// The bytes were damaged.
    #[error("the checksum of the envelope is wrong")]
    Checksum,
}

/// Why a value could not be put into an envelope.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// The value depends on more than [`MAX_STAMPS`] stamps.
    #[error("the value depends on more than {MAX_STAMPS} stamps")]
    TooManyStamps,
    /// The name of a stamp is longer than [`MAX_STAMP_NAME`].
    #[error("the name of a stamp has {len} bytes, more than {MAX_STAMP_NAME}")]
    StampNameTooLong {
        /// The length of that name in bytes.
        len: usize,
    },
    /// The codec failed.
    #[error(transparent)]
    Codec(#[from] CodecError),
}

impl<'a> Envelope<'a> {
    /// Reads an envelope, checking every length before it is used and the checksum before anything is believed.
    ///
    /// Nothing is allocated.
    ///
    /// # Errors
    ///
    /// When the bytes are anything but a whole and undamaged envelope of this version.
    pub fn decode(bytes: &'a [u8]) -> Result<Self, EnvelopeError> {
        match bytes {
            [] => return Err(EnvelopeError::Truncated),
            [VALUE, FORMAT_VERSION, ..] | [VALUE] => {}
            [VALUE, version, ..] => return Err(EnvelopeError::UnknownVersion(*version)),
            _ => return Err(EnvelopeError::NotAnEnvelope),
        }
        let (fixed, rest) = bytes.split_first_chunk::<FIXED_LEN>().ok_or(EnvelopeError::Truncated)?;
        let flags = fixed[FLAGS_AT];
        if flags & !KNOWN_FLAGS != 0 {
            return Err(EnvelopeError::UnknownFlags(flags));
        }
        let absent = flags & ABSENT != 0;
        let compression = Compression::of(flags)?;
        let (stamps, rest) = Stamps::split(u16::from_le_bytes(array(fixed, STAMPS_AT)), rest)?;
        let (writer, payload) = if flags & WRITER == 0 {
            (None, rest)
        } else {
            let (writer, payload) = rest.split_first_chunk().ok_or(EnvelopeError::Truncated)?;
            (Some(WriterId::from_bytes(*writer)), payload)
        };
        if absent && (!payload.is_empty() || compression.is_some()) {
            return Err(EnvelopeError::AbsentWithPayload);
        }
        if u64::from_le_bytes(array(fixed, CHECKSUM_AT)) != checksum(bytes) {
            return Err(EnvelopeError::Checksum);
        }
        let header = Header {
            nonce: array(fixed, 3),
            codec: fixed[11],
            fingerprint: u64::from_le_bytes(array(fixed, 12)),
            written_at_ms: u64::from_le_bytes(array(fixed, 20)),
            fresh_until_ms: u64::from_le_bytes(array(fixed, 28)),
            expires_at_ms: u64::from_le_bytes(array(fixed, 36)),
            load_us: u32::from_le_bytes(array(fixed, 44)),
            absent,
            writer,
        };
        Ok(Self { header, stamps, compression, payload })
    }

    /// The payload as its codec wrote it. Borrowed where it is not compressed.
    ///
    /// # Errors
    ///
    /// When the compressed bytes are no good, or claim to be longer than they can be.
    pub fn unpack(&self) -> Result<Cow<'a, [u8]>, EnvelopeError> {
        compression::unpack(self.payload, self.compression)
    }

    /// How many bytes the payload has as its codec wrote it, by its own word, which [`unpack`](Self::unpack) checks.
    pub(crate) fn plain_len(&self) -> usize {
        compression::plain_len(self.payload, self.compression)
    }
}

/// Writes an envelope; `payload` appends the encoded value to the same buffer and is not called for an absence.
///
/// ```
/// use keylatch::codec::envelope::{self, Envelope, Header};
///
/// let header = Header {
///     nonce: [7; 8], codec: 1, fingerprint: 2, written_at_ms: 3, fresh_until_ms: 4, expires_at_ms: 5,
///     load_us: 6, absent: false, writer: None,
/// };
/// let stamps = [(&b"shop:1"[..], [9; 8])];
/// let bytes = envelope::encode(header, stamps.into_iter(), |out| Ok(out.extend_from_slice(b"value")))?;
/// let read = Envelope::decode(&bytes)?;
/// assert_eq!(read.header, header);
/// assert_eq!(read.stamps.collect::<Vec<_>>(), stamps);
/// assert_eq!(read.payload, b"value");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// When there are too many stamps, the name of one is too long, or `payload` fails.
pub fn encode<'n>(
    header: Header,
    stamps: impl ExactSizeIterator<Item = (&'n [u8], [u8; 8])>,
    payload: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<Vec<u8>, EncodeError> {
    encode_packed(header, None, stamps, payload)
}

/// The same, with the payload compressed where that makes it smaller.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_packed<'n>(
    header: Header,
    packing: Option<Packing>,
    stamps: impl ExactSizeIterator<Item = (&'n [u8], [u8; 8])>,
    payload: impl FnOnce(&mut Vec<u8>) -> Result<(), CodecError>,
) -> Result<Vec<u8>, EncodeError> {
    // A guess at a small value and short names; the buffer grows when it is wrong.
    const PER_STAMP: usize = 40;
    const PAYLOAD: usize = 192;
    let count = stamps.len();
    if count > MAX_STAMPS {
        return Err(EncodeError::TooManyStamps);
    }
    let mut out = Vec::with_capacity(FIXED_LEN + count * PER_STAMP + PAYLOAD);
    let absent = if header.absent { ABSENT } else { 0 };
    let flags = if header.writer.is_some() { absent | WRITER } else { absent };
    out.extend_from_slice(&[VALUE, FORMAT_VERSION, flags]);
    out.extend_from_slice(&header.nonce);
    out.push(header.codec);
    for number in [header.fingerprint, header.written_at_ms, header.fresh_until_ms, header.expires_at_ms] {
        out.extend_from_slice(&number.to_le_bytes());
    }
    out.extend_from_slice(&header.load_us.to_le_bytes());
    // The places of the checksum and of the number of stamps, which are only known at the end.
    out.resize(FIXED_LEN, 0);
    let mut written: u16 = 0;
    for (name, value) in stamps {
        // Counted again, since an iterator may be wrong about its length.
        written += 1;
        if usize::from(written) > MAX_STAMPS {
            return Err(EncodeError::TooManyStamps);
        }
        let len = u16::try_from(name.len())
            .ok()
            .filter(|&len| usize::from(len) <= MAX_STAMP_NAME)
            .ok_or(EncodeError::StampNameTooLong { len: name.len() })?;
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(name);
        out.extend_from_slice(&value);
    }
    out[STAMPS_AT..FIXED_LEN].copy_from_slice(&written.to_le_bytes());
    if let Some(writer) = header.writer {
        out.extend_from_slice(&writer.to_bytes());
    }
    if !header.absent {
        let at = out.len();
        payload(&mut out)?;
        out[FLAGS_AT] |= compression::pack(&mut out, at, packing);
    }
    let sum = checksum(&out);
    out[CHECKSUM_AT..STAMPS_AT].copy_from_slice(&sum.to_le_bytes());
    Ok(out)
}

/// The part of an envelope that identifies this very write, or `None` when the bytes cannot be an envelope.
///
/// Compare-and-replace uses it, for which the rest may be damaged or of an unknown version.
#[must_use]
pub fn prefix(bytes: &[u8]) -> Option<&[u8]> {
    bytes.get(..PREFIX_LEN).filter(|prefix| prefix[0] == VALUE)
}

impl<'a> Stamps<'a> {
    /// The stamps that are left, as the envelope holds them.
    #[must_use]
    pub const fn as_bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// Whether there are no stamps left.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.left == 0
    }

    /// Splits the stamps off the bytes after the fixed part, checking them all.
    fn split(count: u16, bytes: &'a [u8]) -> Result<(Self, &'a [u8]), EnvelopeError> {
        if usize::from(count) > MAX_STAMPS {
            return Err(EnvelopeError::StampLimit);
        }
        let mut rest = bytes;
        for _ in 0..count {
            let (name, _, after) = split_stamp(rest).ok_or(EnvelopeError::Truncated)?;
            if name.len() > MAX_STAMP_NAME {
                return Err(EnvelopeError::StampLimit);
            }
            rest = after;
        }
        Ok((Self { bytes: &bytes[..bytes.len() - rest.len()], left: count }, rest))
    }
}

impl<'a> Iterator for Stamps<'a> {
    type Item = (&'a [u8], [u8; 8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (name, value, rest) = split_stamp(self.bytes)?;
        self.bytes = rest;
        self.left -= 1;
        Some((name, value))
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        (usize::from(self.left), Some(usize::from(self.left)))
    }
}

impl ExactSizeIterator for Stamps<'_> {}
impl std::iter::FusedIterator for Stamps<'_> {}

/// Splits one stamp off the front: its name, its value, and what follows.
fn split_stamp(bytes: &[u8]) -> Option<(&[u8], [u8; 8], &[u8])> {
    let (len, rest) = bytes.split_first_chunk()?;
    let (name, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*len)))?;
    let (value, rest) = rest.split_first_chunk()?;
    Some((name, *value, rest))
}

/// The checksum of an envelope, which covers everything but itself.
///
/// Two hashes in one spare the state of a streaming hash, which is larger than most values. (The first as the seed of the
/// second would cost a table made anew for each seed.)
fn checksum(bytes: &[u8]) -> u64 {
    XxHash3_64::oneshot(&bytes[STAMPS_AT..]).rotate_left(32) ^ XxHash3_64::oneshot(&bytes[..CHECKSUM_AT])
}

fn array<const N: usize>(fixed: &[u8; FIXED_LEN], at: usize) -> [u8; N] {
    let mut array = [0; N];
    array.copy_from_slice(&fixed[at..at + N]);
    array
}

mod times;

pub(crate) use times::Times;

#[cfg(test)]
mod tests;
