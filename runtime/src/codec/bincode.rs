//! bincode 2, for those who have standardised on it.

use ::bincode::config::{self, Configuration, Limit, LittleEndian, Varint};
use ::bincode::error::{DecodeError, EncodeError};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fingerprint::{self, Form};
use super::{Codec, CodecError};

const NAME: &str = "bincode";
const FORM: Form = Form { codec: NAME, positional: true, human_readable: false };

// bincode counts what it decodes by the size in memory: one byte may count for a `u128`.
const DECODED_LIMIT: usize = 256 << 20;
const MAX_GROWTH: usize = 16;
const ENCODED_LIMIT: usize = DECODED_LIMIT / MAX_GROWTH;

/// bincode 2 in its standard configuration.
///
/// It stores fields by position, so the order of fields and variants is part of the fingerprint. The serde
/// attributes `untagged`, `tag`, `flatten` and `skip_serializing_if` do not work with it. Values over 16 MiB are
/// refused. bincode is no longer maintained by its authors (RUSTSEC-2025-0141); [`Postcard`](super::Postcard) is
/// the better choice for new code.
///
/// ```
/// use keylatch::codec::{Bincode, Codec};
///
/// let mut bytes = Vec::new();
/// Bincode::encode(&(300_u32, true), &mut bytes)?;
/// assert_eq!(bytes, [0xfb, 0x2c, 0x01, 0x01]);
/// assert_eq!(<Bincode as Codec<(u32, bool)>>::decode(&bytes)?, (300, true));
/// # Ok::<(), keylatch::codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Bincode;

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Codec<T> for Bincode {
    const ID: u8 = 4;

    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        let written = ::bincode::serde::encode_into_std_write(value, out, config())
            .map_err(|error| CodecError::encode(NAME, encode_reason(&error)))?;
        // The limit holds for decoding alone: a larger value would be written and then never read.
        if written > ENCODED_LIMIT {
            return Err(CodecError::encode(NAME, "larger than 16 MiB"));
        }
        Ok(())
    }

    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        let (value, read) = ::bincode::serde::decode_from_slice(bytes, config())
            .map_err(|error| CodecError::decode(NAME, decode_reason(&error)))?;
        if read != bytes.len() {
            return Err(CodecError::decode(NAME, "bytes are left over"));
        }
        Ok(value)
    }

    fn fingerprint() -> u64 {
        fingerprint::of::<T>(FORM)
    }
}

const fn config() -> Configuration<LittleEndian, Varint, Limit<DECODED_LIMIT>> {
    config::standard().with_limit::<DECODED_LIMIT>()
}

// The errors may quote the value (`OtherString`, `InvalidCharEncoding`), so only the kind of the failure is kept.
const fn decode_reason(error: &DecodeError) -> &'static str {
    match error {
        DecodeError::UnexpectedEnd { .. } => "the bytes end too early",
        DecodeError::LimitExceeded => "larger than the limit",
        DecodeError::UnexpectedVariant { .. } => "an unknown variant",
        DecodeError::Utf8 { .. } => "a string is not UTF-8",
        DecodeError::Serde(_) | DecodeError::Other(_) | DecodeError::OtherString(_) => "refused by the type",
        _ => "not valid bincode",
    }
}

const fn encode_reason(error: &EncodeError) -> &'static str {
    match error {
        EncodeError::UnexpectedEnd | EncodeError::Io { .. } => "the bytes could not be written",
        EncodeError::Serde(_) => "a sequence does not know its length, or an attribute is not supported",
        _ => "refused by the type",
    }
}
