//! What servers answer, in our own terms, and bytes that must travel as text.

use std::borrow::Cow;

use bytes::Bytes;
use redis::Value;

use crate::connection::Connection;
pub(super) use crate::connection::{accepted, unexpected};
use crate::error::Result;
use crate::store::Guarded;

/// A value as the connection can carry it.
pub(super) fn wire<'a>(connection: &Connection, bytes: &'a [u8]) -> Cow<'a, [u8]> {
    #[cfg(feature = "upstash")]
    if connection.is_text() {
        return match crate::connection::armour(bytes) {
            Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
            Cow::Owned(text) => Cow::Owned(text.into_bytes()),
        };
    }
    let _ = connection;
    Cow::Borrowed(bytes)
}

/// A stored value, or nothing. What should be text and is not was not written by us: it is kept as it is.
pub(super) fn bulk(connection: &Connection, operation: &'static str, value: Value) -> Result<Option<Bytes>> {
    let bytes = match value {
        Value::Nil => return Ok(None),
        Value::BulkString(bytes) => bytes,
        Value::SimpleString(text) => text.into_bytes(),
        other => return Err(unexpected(operation, &other)),
    };
    #[cfg(feature = "upstash")]
    if connection.is_text() {
        return Ok(Some(Bytes::from(crate::connection::disarm(&bytes).unwrap_or(bytes))));
    }
    let _ = connection;
    Ok(Some(Bytes::from(bytes)))
}

pub(super) fn bulks(
    connection: &Connection,
    operation: &'static str,
    values: Vec<Value>,
) -> Result<Vec<Option<Bytes>>> {
    values.into_iter().map(|value| bulk(connection, operation, value)).collect()
}

/// What a script says that changes one key on a condition.
pub(super) fn guarded(operation: &'static str, answer: &Value) -> Result<Guarded> {
    match answer {
        Value::Int(1) => Ok(Guarded::Applied),
        Value::Int(0) => Ok(Guarded::Refused),
        other => Err(unexpected(operation, other)),
    }
}
