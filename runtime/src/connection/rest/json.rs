//! Values in JSON, with strings as they are or in base64.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::{ErrorKind, RedisError, RedisResult, Value};
use serde::de::{self, Deserialize, DeserializeOwned, Deserializer, MapAccess, SeqAccess, Visitor};

use super::resp2::Fault;

/// A value, straight from JSON.
#[derive(Debug)]
pub(super) struct Json(pub(super) Value);

/// What `serde_json` says about a fault may quote a value, so only whether the text ended too early is kept.
pub(super) fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body)
        .map_err(|error| if error.is_eof() { Fault::Truncated } else { Fault::Malformed })
}

/// The value whose strings are in base64. Statuses and errors are not.
pub(super) fn decode(value: Value) -> RedisResult<Value> {
    match value {
        Value::BulkString(text) => decoded(text),
        Value::Array(values) => values.into_iter().map(decode).collect::<RedisResult<_>>().map(Value::Array),
        Value::Map(pairs) => {
            let decoded = pairs.into_iter().map(|(key, value)| Ok((decode(key)?, decode(value)?)));
            decoded.collect::<RedisResult<_>>().map(Value::Map)
        }
        other => Ok(other),
    }
}

/// The string of which that is the base64.
pub(super) fn decoded(text: Vec<u8>) -> RedisResult<Value> {
    STANDARD
        .decode(text)
        .map(Value::BulkString)
        .map_err(|_| RedisError::from((ErrorKind::Parse, "a string that is not in base64")))
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue).map(Json)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::Nil)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Boolean(value))
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Int(value))
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        // Larger than any integer that Redis has: kept exact as text, which the client turns into numbers, too.
        Ok(i64::try_from(value).map_or_else(|_| Value::SimpleString(value.to_string()), Value::Int))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Ok(Value::Double(value))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.visit_string(text.to_owned())
    }

    fn visit_string<E: de::Error>(self, text: String) -> Result<Value, E> {
        // JSON does not tell the status from a string of the same letters. In base64 it does: only the status is plain.
        Ok(if text == "OK" { Value::Okay } else { Value::BulkString(text.into_bytes()) })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Json(value)) = seq.next_element()? {
            values.push(value);
        }
        Ok(Value::Array(values))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let mut pairs = Vec::new();
        while let Some((Json(key), Json(value))) = map.next_entry()? {
            pairs.push((key, value));
        }
        Ok(Value::Map(pairs))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(text: &str) -> Value {
        parse::<Json>(text.as_bytes()).expect("it is JSON").0
    }

    #[test]
    fn every_type() {
        let text = r#"[null, 1, -9223372036854775808, 1.5, "é", "OK", true, [["x"]], {"a": 1}, 18446744073709551615]"#;
        let expected = vec![
            Value::Nil,
            Value::Int(1),
            Value::Int(i64::MIN),
            Value::Double(1.5),
            Value::BulkString("é".into()),
            Value::Okay,
            Value::Boolean(true),
            Value::Array(vec![Value::Array(vec![Value::BulkString(b"x".to_vec())])]),
            Value::Map(vec![(Value::BulkString(b"a".to_vec()), Value::Int(1))]),
            Value::SimpleString(u64::MAX.to_string()),
        ];
        assert_eq!(value(text), Value::Array(expected));
    }

    #[test]
    fn base64_at_every_depth() {
        let encoded = value(r#"["/w==", "OK", "T0s=", null, 7, [["AA=="]], ""]"#);
        let expected = vec![
            Value::BulkString(vec![0xff]),
            Value::Okay,
            Value::BulkString(b"OK".to_vec()),
            Value::Nil,
            Value::Int(7),
            Value::Array(vec![Value::Array(vec![Value::BulkString(vec![0])])]),
            Value::BulkString(Vec::new()),
        ];
        assert_eq!(decode(encoded), Ok(Value::Array(expected)));
        assert_eq!(decode(value(r#"["no base64"]"#)).map_err(|error| error.kind()), Err(ErrorKind::Parse));
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(parse::<Json>(br#"{"a": "#).err(), Some(Fault::Truncated));
        assert_eq!(parse::<Json>(br#"{"a" "b"}"#).err(), Some(Fault::Malformed));
        assert_eq!(parse::<Json>(b"\"\xff\"").err(), Some(Fault::Malformed));
        assert_eq!(parse::<Json>(&b"[".repeat(100_000)).err(), Some(Fault::Malformed));
    }
}
