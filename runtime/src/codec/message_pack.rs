//! The default codec: `MessagePack` with field names.

use rmp_serde::{decode, encode};
use serde::Serialize;
use serde::de::{Deserialize, DeserializeOwned};

use super::fingerprint::{self, Form};
use super::{Codec, CodecError};

const NAME: &str = "message_pack";
const FORM: Form = Form { codec: NAME, positional: false, human_readable: false };

/// `MessagePack` with field names, the default.
///
/// It handles every serde attribute, such as `untagged`, `flatten` and `skip_serializing_if`, and reads fields by
/// name, so that two fields of one type can change places without harm. Like JSON it turns `Some(None)` of a
/// nested option into `None`.
///
/// ```
/// use keylatch::codec::{Codec, MessagePack};
///
/// let mut bytes = Vec::new();
/// MessagePack::encode(&("lamp".to_owned(), 7_u32), &mut bytes)?;
/// assert_eq!(bytes, b"\x92\xa4lamp\x07");
/// let (name, id): (String, u32) = MessagePack::decode(&bytes)?;
/// assert_eq!((name.as_str(), id), ("lamp", 7));
/// # Ok::<(), keylatch::codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct MessagePack;

// Without `do_not_recommend` rustc would report the two serde traits one by one instead of the text on `Codec`.
#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Codec<T> for MessagePack {
    const ID: u8 = 1;

    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        encode::write_named(out, value).map_err(|error| CodecError::encode(NAME, encode_reason(&error)))
    }

    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        let mut deserializer = rmp_serde::Deserializer::from_read_ref(bytes);
        let value = T::deserialize(&mut deserializer)
            .map_err(|error| CodecError::decode(NAME, decode_reason(&error)))?;
        // `rmp_serde` does not tell how much it has read. Reading a unit takes the next marker and never a second one,
        // so it misses a marker only where nothing is left.
        match <()>::deserialize(&mut deserializer) {
            Err(decode::Error::InvalidMarkerRead(_)) => Ok(value),
            Ok(()) | Err(_) => Err(CodecError::decode(NAME, "bytes are left over")),
        }
    }

    fn fingerprint() -> u64 {
        fingerprint::of::<T>(FORM)
    }
}

// The variants with text in them (`Syntax`, `Uncategorized`) may quote the value, so only their names are kept.
const fn decode_reason(error: &decode::Error) -> &'static str {
    match error {
        decode::Error::InvalidMarkerRead(_) | decode::Error::InvalidDataRead(_) => "the bytes end too early",
        decode::Error::TypeMismatch(_) => "type mismatch",
        decode::Error::OutOfRange => "a number is out of range",
        decode::Error::LengthMismatch(_) => "length mismatch",
        decode::Error::Utf8Error(_) => "a string is not UTF-8",
        decode::Error::DepthLimitExceeded => "nested too deeply",
        decode::Error::Uncategorized(_) | decode::Error::Syntax(_) => "refused by the type",
    }
}

const fn encode_reason(error: &encode::Error) -> &'static str {
    match error {
        encode::Error::InvalidValueWrite(_) => "the bytes could not be written",
        encode::Error::UnknownLength => "a sequence or map does not know its length",
        encode::Error::InvalidDataModel(_) => "a `Serialize` breaks serde's rules",
        encode::Error::DepthLimitExceeded => "nested too deeply",
        encode::Error::Syntax(_) => "refused by the type",
    }
}
