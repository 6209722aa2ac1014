//! What servers answer, in our own terms, and bytes that must travel as text.

use std::borrow::Cow;

use bytes::Bytes;
use redis::Value;

use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
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

/// What the server answered to one command of several that travelled together, unless it refused that one.
pub(super) fn accepted(operation: &'static str, answer: Value) -> Result<Value> {
    answer.extract_error().map_err(|error| {
        let code = error.code().unwrap_or("unknown").to_owned();
        Error::new(ErrorKind::Refused, operation).with("code", code).because(error)
    })
}

/// What a script says that changes one key on a condition.
pub(super) fn guarded(operation: &'static str, answer: &Value) -> Result<Guarded> {
    match answer {
        Value::Int(1) => Ok(Guarded::Applied),
        Value::Int(0) => Ok(Guarded::Refused),
        other => Err(unexpected(operation, other)),
    }
}

/// Names the type of the answer only: the answer itself may be a value.
pub(super) fn unexpected(operation: &'static str, value: &Value) -> Error {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "an integer",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "an array of another length",
        Value::ServerError(_) => "an error",
        _ => "another type",
    };
    Error::new(ErrorKind::Protocol, operation).with("answer", kind)
}
