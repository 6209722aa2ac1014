//! Postcard, the most compact of the built-in codecs.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::fingerprint::{self, Form};
use super::{Codec, CodecError};

const NAME: &str = "postcard";
const FORM: Form = Form { codec: NAME, positional: true, human_readable: false };

/// Postcard, the most compact of the built-in codecs.
///
/// It stores fields by position, so the order of fields and variants is part of the fingerprint. The serde
/// attributes `untagged`, `tag`, `flatten` and `skip_serializing_if` do not work with it, nor do types that
/// describe themselves, such as `serde_json::Value`.
///
/// ```
/// use keylatch::codec::{Codec, Postcard};
///
/// let mut bytes = Vec::new();
/// Postcard::encode(&(300_u32, true), &mut bytes)?;
/// assert_eq!(bytes, [0xac, 0x02, 0x01]);
/// assert_eq!(<Postcard as Codec<(u32, bool)>>::decode(&bytes)?, (300, true));
/// # Ok::<(), keylatch::codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Postcard;

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Codec<T> for Postcard {
    const ID: u8 = 3;

    // An error of postcard is a plain number with a fixed text, so unlike the others it can be shown as the source.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        match ::postcard::to_io(value, out) {
            Ok(_) => Ok(()),
            Err(error) => Err(CodecError::encode(NAME, "refused by postcard").with_source(error)),
        }
    }

    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        match ::postcard::take_from_bytes(bytes) {
            Ok((value, [])) => Ok(value),
            Ok(_) => Err(CodecError::decode(NAME, "bytes are left over")),
            Err(error) => Err(CodecError::decode(NAME, "refused by postcard").with_source(error)),
        }
    }

    fn fingerprint() -> u64 {
        fingerprint::of::<T>(FORM)
    }
}
