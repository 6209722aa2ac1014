//! What servers answer to one of several commands, and to none, in our own terms.

use redis::Value;

use crate::error::{Error, ErrorKind, Result};

/// What the server answered to one command of several that travelled together, unless it refused that one.
pub(crate) fn accepted(operation: &'static str, answer: Value) -> Result<Value> {
    answer.extract_error().map_err(|error| {
        let code = error.code().unwrap_or("unknown").to_owned();
        Error::new(ErrorKind::Refused, operation).with("code", code).because(error)
    })
}

/// Names the type of the answer only: the answer itself may be a value.
pub(crate) fn unexpected(operation: &'static str, value: &Value) -> Error {
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
