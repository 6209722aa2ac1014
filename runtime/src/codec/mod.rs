//! How values become bytes: the `Codec` trait, the built-in codecs, the shape fingerprint and the envelope.

mod compression;
pub mod envelope;
mod error;
pub mod fingerprint;
mod handle;
mod message_pack;

#[cfg(feature = "bincode")]
mod bincode;
#[cfg(feature = "json")]
mod json;
#[cfg(feature = "postcard")]
mod postcard;

#[cfg(feature = "bincode")]
pub use self::bincode::Bincode;
pub(crate) use self::compression::DEFAULT_ABOVE;
pub use self::compression::{Compression, Packing};
pub use self::error::{CodecError, Operation};
pub use self::handle::{CodecHandle, FingerprintCell, codec};
#[cfg(feature = "json")]
pub use self::json::Json;
#[cfg(feature = "json")]
pub(crate) use self::json::{from_json, to_json};
pub use self::message_pack::MessagePack;
#[cfg(feature = "postcard")]
pub use self::postcard::Postcard;

/// How values of the type `T` become bytes, and bytes become values again.
///
/// The trait is generic over the value, so that a codec need not use serde: one for protobuf messages can be
/// written as `impl<M: prost::Message + Default> Codec<M> for Protobuf`.
///
/// # Own codecs
///
/// An own codec takes an [`ID`](Codec::ID) in `128..=255`; the lower half is reserved for keylatch. Its
/// [`fingerprint`](Codec::fingerprint) has to change whenever bytes written before the change would be read
/// wrongly, or not at all, after it. A constant which is edited together with the format is enough. A codec over
/// serde can use [`fingerprint::of`] instead, and then follows every change of the value's type by itself.
///
/// ```
/// use keylatch::codec::{Codec, CodecError};
///
/// /// Stores numbers as eight little-endian bytes.
/// struct Fixed;
///
/// impl Codec<u64> for Fixed {
///     const ID: u8 = 128;
///
///     fn encode(value: &u64, out: &mut Vec<u8>) -> Result<(), CodecError> {
///         out.extend_from_slice(&value.to_le_bytes());
///         Ok(())
///     }
///
///     fn decode(bytes: &[u8]) -> Result<u64, CodecError> {
///         let bytes = bytes.try_into().map_err(|_| CodecError::decode("fixed", "not eight bytes"))?;
///         Ok(u64::from_le_bytes(bytes))
///     }
///
///     fn fingerprint() -> u64 {
///         1
///     }
/// }
///
/// let mut bytes = Vec::new();
/// Fixed::encode(&7, &mut bytes)?;
/// assert_eq!(Fixed::decode(&bytes)?, 7);
/// assert!(Fixed::decode(b"short").is_err());
/// # Ok::<(), CodecError>(())
/// ```
#[diagnostic::on_unimplemented(
    message = "`{T}` cannot be stored in the cache",
    label = "not storable by the codec `{Self}`",
    note = "derive `serde::Serialize` and `serde::Deserialize` for it, or name another `codec`",
    note = "a type parameter needs the bounds `serde::Serialize + serde::de::DeserializeOwned`"
)]
pub trait Codec<T> {
    /// The number of the codec in an envelope: `128..=255` for codecs from outside this crate.
    ///
    /// An entry written by a codec with another number is a miss, never decoded.
    const ID: u8;

    /// Appends the bytes of `value` to `out`.
    ///
    /// What `out` already holds must stay as it is. After an error, what was appended is unspecified.
    ///
    /// # Errors
    ///
    /// A [`CodecError`] when the codec cannot represent the value.
    fn encode(value: &T, out: &mut Vec<u8>) -> Result<(), CodecError>;

    /// Reads back what [`encode`](Codec::encode) appended.
    ///
    /// # Errors
    ///
    /// A [`CodecError`] when `bytes` are not exactly one value: bytes left over are an error too, since they mean
    /// that another type was written.
    fn decode(bytes: &[u8]) -> Result<T, CodecError>;

    /// Computes a 64-bit fingerprint of the shape of `T` under this codec.
    ///
    /// Entries with another fingerprint are misses, so that two builds whose types differ can share one Redis. The
    /// result has to be the same in every process and on every machine.
    fn fingerprint() -> u64;
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use serde::{Deserialize, Serialize};

    use super::{Codec, CodecError, MessagePack, Operation};

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Product {
        id: u32,
        name: String,
        price: Option<f64>,
        tags: Vec<String>,
    }

    fn product() -> Product {
        Product { id: 7, name: "lamp".into(), price: Some(9.5), tags: vec!["home".into()] }
    }

    /// Checks the round trip, the golden bytes, and that every truncation and extension is refused.
    fn check<C: Codec<Product>>(golden: &[u8]) {
        let mut bytes = b"kept".to_vec();
        C::encode(&product(), &mut bytes).unwrap();
        assert_eq!(&bytes[..4], b"kept", "an encoder appends");
        let bytes = bytes.split_off(4);
        assert_eq!(bytes, golden, "{}", bytes.escape_ascii());
        assert_eq!(C::decode(&bytes).unwrap(), product());
        for end in 0..bytes.len() {
            assert_eq!(C::decode(&bytes[..end]).unwrap_err().operation(), Operation::Decode);
        }
        for extra in 0..=u8::MAX {
            let longer = [&bytes[..], &[extra]].concat();
            assert!(C::decode(&longer).is_err(), "a trailing {extra:#04x} was accepted");
        }
    }

    /// Checks that no form of the error repeats any of the value's text.
    fn check_silent<T: Debug>(result: Result<T, CodecError>) {
        let error = result.unwrap_err();
        let mut texts = vec![error.to_string(), format!("{error:?}")];
        let mut source = std::error::Error::source(&error);
        while let Some(inner) = source {
            texts.extend([inner.to_string(), format!("{inner:?}")]);
            source = inner.source();
        }
        assert!(texts.iter().all(|text| !text.contains("secret")), "{texts:?}");
    }

    #[test]
    fn message_pack_bytes_are_pinned() {
        check::<MessagePack>(
            b"\x84\xa2id\x07\xa4name\xa4lamp\xa5price\xcb\x40\x23\0\0\0\0\0\0\xa4tags\x91\xa4home",
        );
    }

    #[cfg(feature = "json")]
    #[test]
    fn json_bytes_are_pinned() {
        check::<super::Json>(br#"{"id":7,"name":"lamp","price":9.5,"tags":["home"]}"#);
    }

    #[cfg(feature = "postcard")]
    #[test]
    fn postcard_bytes_are_pinned() {
        check::<super::Postcard>(b"\x07\x04lamp\x01\0\0\0\0\0\0\x23\x40\x01\x04home");
    }

    #[cfg(feature = "bincode")]
    #[test]
    fn bincode_bytes_are_pinned() {
        check::<super::Bincode>(b"\x07\x04lamp\x01\0\0\0\0\0\0\x23\x40\x01\x04home");
    }

    #[test]
    fn errors_never_repeat_the_value() {
        #[derive(Debug)]
        struct Chatty;
        impl Serialize for Chatty {
            fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
                Err(serde::ser::Error::custom("secret"))
            }
        }
        impl<'de> Deserialize<'de> for Chatty {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                Err(serde::de::Error::custom(format_args!("bad: {text}")))
            }
        }
        fn check<C: Codec<Chatty> + Codec<String> + Codec<u32>>() {
            let mut bytes = Vec::new();
            C::encode(&"secret".to_owned(), &mut bytes).unwrap();
            check_silent(<C as Codec<Chatty>>::decode(&bytes));
            check_silent(C::encode(&Chatty, &mut Vec::new()));
            // Positional codecs take the length for a number and stop at the bytes left over.
            check_silent(<C as Codec<u32>>::decode(&bytes));
        }
        check::<MessagePack>();
        #[cfg(feature = "json")]
        check::<super::Json>();
        #[cfg(feature = "postcard")]
        check::<super::Postcard>();
        #[cfg(feature = "bincode")]
        check::<super::Bincode>();
    }

    #[test]
    fn each_codec_has_its_own_fingerprint() {
        let all = [
            <MessagePack as Codec<Product>>::fingerprint(),
            #[cfg(feature = "json")]
            <super::Json as Codec<Product>>::fingerprint(),
            #[cfg(feature = "postcard")]
            <super::Postcard as Codec<Product>>::fingerprint(),
            #[cfg(feature = "bincode")]
            <super::Bincode as Codec<Product>>::fingerprint(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), all.len());
    }
}
