//! Writes answers in the three forms of the REST interface.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use redis::{ServerError, Value};
use serde_json::{Value as Json, json};

/// Whether the strings of a JSON answer are in base64.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strings {
    Plain,
    Base64,
}

/// `{"result": ..}` or `{"error": ..}`.
pub(super) fn item(value: &Value, strings: Strings) -> Json {
    match value {
        Value::ServerError(error) => json!({ "error": error_text(error) }),
        value => json!({ "result": json(value, strings) }),
    }
}

fn json(value: &Value, strings: Strings) -> Json {
    match value {
        Value::Nil => Json::Null,
        Value::Int(number) => json!(number),
        Value::Okay => json!("OK"),
        Value::SimpleString(text) => string(text.as_bytes(), strings),
        Value::BulkString(bytes) => string(bytes, strings),
        Value::Array(values) => values.iter().map(|value| json(value, strings)).collect(),
        Value::ServerError(error) => json!(error_text(error)),
        other => panic!("RESP2 has no {other:?}"),
    }
}

fn string(bytes: &[u8], strings: Strings) -> Json {
    match strings {
        Strings::Plain => json!(String::from_utf8_lossy(bytes)),
        Strings::Base64 => json!(STANDARD.encode(bytes)),
    }
}

/// Appends the value in RESP2.
pub(super) fn resp2(value: &Value, to: &mut Vec<u8>) {
    let line = match value {
        Value::Nil => "$-1".to_owned(),
        Value::Int(number) => format!(":{number}"),
        Value::Okay => "+OK".to_owned(),
        Value::SimpleString(text) => format!("+{text}"),
        Value::BulkString(bytes) => format!("${}", bytes.len()),
        Value::Array(values) => format!("*{}", values.len()),
        Value::ServerError(error) => format!("-{}", error_text(error)),
        other => panic!("RESP2 has no {other:?}"),
    };
    to.extend_from_slice(line.as_bytes());
    to.extend_from_slice(b"\r\n");
    match value {
        Value::BulkString(bytes) => {
            to.extend_from_slice(bytes);
            to.extend_from_slice(b"\r\n");
        }
        Value::Array(values) => values.iter().for_each(|value| resp2(value, to)),
        _ => {}
    }
}

pub(super) fn error_text(error: &ServerError) -> String {
    match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    }
}
