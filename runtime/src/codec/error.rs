//! What can go wrong between a value and its bytes, told without ever repeating the value.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Which way a codec was going when it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// From the value to bytes.
    Encode,
    /// From bytes to the value.
    Decode,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encode => "encode",
            Self::Decode => "decode",
        })
    }
}

/// A codec could not encode or decode a value.
///
/// Neither the text of the error nor its [`source`](Error::source) contains anything of the value. Texts of serde
/// errors quote what they stumble over (`invalid type: string "hunter2", expected u32`), and cached values end up
/// in logs that way. So the built-in codecs keep a fixed text for the category of the failure, where they have one
/// its position, and a source only where its type cannot hold text from the value.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the codec `{codec}` could not {operation} the value: {reason}{}", At(*position))]
pub struct CodecError {
    codec: &'static str,
    operation: Operation,
    // A static text cannot contain a value, whatever a codec does.
    reason: &'static str,
    position: Option<(usize, usize)>,
    // Shared rather than boxed, so that every caller waiting for one load can be given the error.
    #[source]
    source: Option<Arc<dyn Error + Send + Sync>>,
}

impl CodecError {
    /// Creates the error of the codec called `codec` which could not encode a value.
    #[must_use]
    pub const fn encode(codec: &'static str, reason: &'static str) -> Self {
        Self { codec, operation: Operation::Encode, reason, position: None, source: None }
    }

    /// Creates the error of the codec called `codec` which could not decode a value.
    #[must_use]
    pub const fn decode(codec: &'static str, reason: &'static str) -> Self {
        Self { codec, operation: Operation::Decode, reason, position: None, source: None }
    }

    /// Adds the error that caused this one.
    ///
    /// Its text ends up in logs: add only errors that cannot contain anything of the value.
    #[must_use]
    pub fn with_source(mut self, source: impl Error + Send + Sync + 'static) -> Self {
        self.source = Some(Arc::new(source));
        self
    }

    /// Adds where in the encoded text the codec stopped, both counted from 1.
    #[must_use]
    pub const fn with_position(mut self, line: usize, column: usize) -> Self {
        self.position = Some((line, column));
        self
    }

    /// The name of the codec.
    #[must_use]
    pub const fn codec(&self) -> &'static str {
        self.codec
    }

    /// Whether encoding or decoding failed.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        self.operation
    }

    /// The category of the failure.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        self.reason
    }
}

/// Shows a position, when there is one.
struct At(Option<(usize, usize)>);

impl fmt::Display for At {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some((line, column)) => write!(f, " at line {line}, column {column}"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::CodecError;

    #[test]
    fn the_text_names_codec_operation_and_category() {
        let error = CodecError::encode("mine", "too long");
        assert_eq!(error.to_string(), "the codec `mine` could not encode the value: too long");
        let error = CodecError::decode("mine", "syntax").with_position(1, 9).with_source(std::fmt::Error);
        assert_eq!(
            error.to_string(),
            "the codec `mine` could not decode the value: syntax at line 1, column 9"
        );
        assert!(std::error::Error::source(&error).is_some());
    }
}
