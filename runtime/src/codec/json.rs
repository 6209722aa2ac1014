//! JSON, for values that people want to read with `redis-cli`.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use super::fingerprint::{self, Form};
use super::{Codec, CodecError};

const NAME: &str = "json";
const FORM: Form = Form { codec: NAME, positional: false, human_readable: true };

/// JSON, readable with `redis-cli`.
///
/// It cannot read back an infinite or not-a-number float, which it writes as `null`, and turns `Some(None)` of a
/// nested option into `None`.
///
/// ```
/// use keylatch::codec::{Codec, Json};
///
/// let mut bytes = Vec::new();
/// Json::encode(&vec![1, 2], &mut bytes)?;
/// assert_eq!(bytes, b"[1,2]");
/// assert_eq!(<Json as Codec<Vec<i32>>>::decode(&bytes)?, [1, 2]);
/// # Ok::<(), keylatch::codec::CodecError>(())
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Json;

#[diagnostic::do_not_recommend]
impl<T: Serialize + DeserializeOwned> Codec<T> for Json {
    const ID: u8 = 2;

    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
        write(value, out)
    }

    fn decode(bytes: &[u8]) -> Result<T, CodecError> {
        // `serde_json` skips white space at the end, which the encoder never writes.
        if bytes.last().is_some_and(u8::is_ascii_whitespace) {
            return Err(CodecError::decode(NAME, "bytes are left over"));
        }
        from_json(bytes)
    }

    fn fingerprint() -> u64 {
        fingerprint::of::<T>(FORM)
    }
}

/// The text of a value that need not be read back.
pub(crate) fn to_json<T: Serialize + ?Sized>(value: &T) -> Result<Vec<u8>, CodecError> {
    let mut json = Vec::new();
    write(value, &mut json).map(|()| json)
}

/// The value of a text that somebody else may have written.
pub(crate) fn from_json<T: DeserializeOwned>(json: &[u8]) -> Result<T, CodecError> {
    serde_json::from_slice(json)
        .map_err(|error| CodecError::decode(NAME, reason(&error)).with_position(error.line(), error.column()))
}

fn write<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError> {
    // The text of the error may quote the value, and it knows no position when writing.
    serde_json::to_writer(out, value).map_err(|error| CodecError::encode(NAME, reason(&error)))
}

fn reason(error: &serde_json::Error) -> &'static str {
    match error.classify() {
        Category::Io => "the bytes could not be written",
        Category::Syntax => "not valid JSON",
        Category::Data => "refused by the type",
        Category::Eof => "the text ends too early",
    }
}
