//! Compressed payloads: which formats there are, when one is worth its time, and how a length is never trusted.
//!
//! A compressed payload begins with its length before compression (4 bytes, little endian).

use std::borrow::Cow;

use super::envelope::EnvelopeError;

/// How payloads are compressed. Each format is there with the feature of its name.
///
/// A reader decodes whatever format an entry says, whatever its own options are; if the feature of that format is off, the
/// entry is a miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Compression {
    /// LZ4: costs little time, saves about half of what text takes.
    #[cfg(feature = "lz4")]
    Lz4,
    /// Zstandard at level 3: smaller, and slower to write.
    #[cfg(feature = "zstd")]
    Zstd,
}

/// What is to be compressed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packing {
    /// The format.
    pub compression: Compression,
    /// Payloads of at most so many bytes stay as they are.
    pub above: usize,
}

/// Above how many bytes a payload is compressed, where nothing else is said: below, there is little to save.
pub(crate) const DEFAULT_ABOVE: usize = 1024;
/// The longest payload that is compressed, so that a lying length cannot ask for more memory than this.
const MAX_LEN: usize = 512 << 20;
/// The bytes of the length before a compressed payload.
const LENGTH: usize = 4;

pub(super) const LZ4: u8 = 1 << 1;
pub(super) const ZSTD: u8 = 1 << 2;
/// The flags of an envelope that say how its payload is compressed; at most one of them is set.
pub(super) const FLAGS: u8 = LZ4 | ZSTD;

impl Compression {
    /// The name of the format, and of its feature.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => "lz4",
            #[cfg(feature = "zstd")]
            Self::Zstd => "zstd",
        }
    }

    /// What the flags of an envelope say.
    pub(super) const fn of(flags: u8) -> Result<Option<Self>, EnvelopeError> {
        match flags & FLAGS {
            0 => Ok(None),
            #[cfg(feature = "lz4")]
            LZ4 => Ok(Some(Self::Lz4)),
            #[cfg(not(feature = "lz4"))]
            LZ4 => Err(EnvelopeError::MissingFeature("lz4")),
            #[cfg(feature = "zstd")]
            ZSTD => Ok(Some(Self::Zstd)),
            #[cfg(not(feature = "zstd"))]
            ZSTD => Err(EnvelopeError::MissingFeature("zstd")),
            _ => Err(EnvelopeError::UnknownFlags(flags)),
        }
    }

    const fn flag(self) -> u8 {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => LZ4,
            #[cfg(feature = "zstd")]
            Self::Zstd => ZSTD,
        }
    }

    /// By how much the format can shrink anything at all: a length above that is a lie.
    const fn greatest_ratio(self) -> usize {
        match self {
            // A byte of a long match stands for at most 255.
            #[cfg(feature = "lz4")]
            Self::Lz4 => 255,
            // A block of 128 KiB that repeats one byte takes four.
            #[cfg(feature = "zstd")]
            Self::Zstd => 32 << 10,
        }
    }

    /// `None` where the format refuses, which is no reason to fail: the payload then stays as it is.
    #[cfg_attr(not(any(feature = "lz4", feature = "zstd")), expect(unused_variables, reason = "no format"))]
    fn compress(self, plain: &[u8]) -> Option<Vec<u8>> {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => Some(lz4_flex::block::compress(plain)),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::bulk::compress(plain, zstd::DEFAULT_COMPRESSION_LEVEL).ok(),
        }
    }

    /// How many bytes were written to `plain`, which is as long as it must become.
    #[cfg_attr(not(any(feature = "lz4", feature = "zstd")), expect(unused_variables, reason = "no format"))]
    fn decompress(self, packed: &[u8], plain: &mut [u8]) -> Option<usize> {
        match self {
            #[cfg(feature = "lz4")]
            Self::Lz4 => lz4_flex::block::decompress_into(packed, plain).ok(),
            #[cfg(feature = "zstd")]
            Self::Zstd => zstd::bulk::decompress_to_buffer(packed, plain).ok(),
        }
    }
}

/// Compresses what `out` holds from `at` on, where that is worth it. The flag that says how, or 0.
pub(super) fn pack(out: &mut Vec<u8>, at: usize, packing: Option<Packing>) -> u8 {
    let Some(Packing { compression, above }) = packing else { return 0 };
    let plain = &out[at..];
    let Some(length) = u32::try_from(plain.len()).ok().filter(|_| plain.len() <= MAX_LEN) else { return 0 };
    if plain.len() <= above {
        return 0;
    }
    match compression.compress(plain) {
        Some(packed) if LENGTH + packed.len() < plain.len() => {
            out.truncate(at);
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(&packed);
            compression.flag()
        }
        _ => 0,
    }
}

/// How long a payload is as its codec wrote it, as it says itself.
pub(super) fn plain_len(payload: &[u8], compression: Option<Compression>) -> usize {
    match payload.first_chunk::<LENGTH>() {
        Some(length) if compression.is_some() => {
            usize::try_from(u32::from_le_bytes(*length)).unwrap_or(usize::MAX)
        }
        _ => payload.len(),
    }
}

/// The payload as its codec wrote it. The length is checked before anything is allocated by it.
pub(super) fn unpack(
    payload: &[u8],
    compression: Option<Compression>,
) -> Result<Cow<'_, [u8]>, EnvelopeError> {
    let Some(compression) = compression else { return Ok(Cow::Borrowed(payload)) };
    let (length, packed) = payload.split_first_chunk::<LENGTH>().ok_or(EnvelopeError::Truncated)?;
    let length = usize::try_from(u32::from_le_bytes(*length))
        .ok()
        .filter(|&length| length <= MAX_LEN.min(packed.len().saturating_mul(compression.greatest_ratio())))
        .ok_or(EnvelopeError::Decompression)?;
    let mut plain = vec![0; length];
    match compression.decompress(packed, &mut plain) {
        Some(written) if written == length => Ok(Cow::Owned(plain)),
        _ => Err(EnvelopeError::Decompression),
    }
}

#[cfg(all(test, feature = "lz4", feature = "zstd"))]
mod tests {
    use super::*;

    const ALL: [Compression; 2] = [Compression::Lz4, Compression::Zstd];

    fn packed(plain: &[u8], compression: Compression, above: usize) -> (Vec<u8>, u8) {
        let mut out = [b"head", plain].concat();
        let flag = pack(&mut out, 4, Some(Packing { compression, above }));
        assert_eq!(&out[..4], b"head");
        (out.split_off(4), flag)
    }

    #[test]
    fn what_was_packed_is_unpacked() {
        let mut rng = fastrand::Rng::with_seed(7);
        for compression in ALL {
            for length in [1, 100, 1025, 10_000, 300_000] {
                let plain: Vec<u8> = (0..length).map(|_| rng.u8(b'a'..b'e')).collect();
                let (bytes, flag) = packed(&plain, compression, 16);
                let said = Compression::of(flag).unwrap();
                assert_eq!(said, (length > 16).then_some(compression), "{length}");
                assert_eq!(unpack(&bytes, said).unwrap(), plain);
                assert!(length <= 16 || bytes.len() < plain.len());
            }
            let same = vec![0; 10 << 20];
            let (bytes, flag) = packed(&same, compression, 16);
            assert_eq!(unpack(&bytes, Compression::of(flag).unwrap()).unwrap(), same, "the greatest ratio");
        }
    }

    #[test]
    fn only_what_becomes_smaller_is_packed() {
        let mut rng = fastrand::Rng::with_seed(8);
        let noise: Vec<u8> = (0..4096).map(|_| rng.u8(..)).collect();
        for compression in ALL {
            assert_eq!(packed(&noise, compression, 1024), (noise.clone(), 0));
            let text = [b'x'; 1024];
            assert_eq!(packed(&text, compression, 1024), (text.to_vec(), 0), "not above the limit");
            assert_ne!(packed(&text, compression, 1023).1, 0);
        }
    }

    #[test]
    fn lying_lengths_and_damaged_bytes_are_refused() {
        let mut rng = fastrand::Rng::with_seed(9);
        let plain: Vec<u8> = (0..5000).map(|_| rng.u8(b'a'..b'e')).collect();
        for compression in ALL {
            let (good, _) = packed(&plain, compression, 16);
            for lie in [0, 1, 4999, 5001, 1 << 29, (1 << 29) + 1, u32::MAX] {
                let mut bytes = good.clone();
                bytes[..4].copy_from_slice(&lie.to_le_bytes());
                assert_eq!(unpack(&bytes, Some(compression)), Err(EnvelopeError::Decompression), "{lie}");
            }
            for length in 0..4 {
                assert_eq!(unpack(&good[..length], Some(compression)), Err(EnvelopeError::Truncated));
            }
            for _ in 0..3_000 {
                let mut bytes = good.clone();
                match rng.u8(..3) {
                    0 => bytes.truncate(rng.usize(..bytes.len())),
                    1 => (0..rng.usize(1..8)).for_each(|_| {
                        let at = rng.usize(4..bytes.len());
                        bytes[at] = rng.u8(..);
                    }),
                    _ => bytes.extend((0..rng.usize(1..9)).map(|_| rng.u8(..))),
                }
                // Damage that still decompresses is for the checksum to find; here nothing may panic, or be longer.
                if let Ok(read) = unpack(&bytes, Some(compression)) {
                    assert_eq!(read.len(), plain.len());
                }
            }
        }
    }
}
