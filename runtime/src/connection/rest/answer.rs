//! Reads answers: RESP2, or JSON from servers and endpoints that do not speak it.
//!
//! The first byte tells one from the other, so that nothing depends on what a server says about its answer.

use redis::{ErrorKind, RedisError, RedisResult, Value};
use reqwest::StatusCode;
use serde::Deserialize;

use super::failure;
use super::json::{self, Json};
use super::request::SENTINEL;
use super::resp2::{self, Fault};
use crate::connection::Secret;

/// What came back, read to the end.
pub(super) struct Answer<'a> {
    pub(super) status: StatusCode,
    pub(super) content_type: String,
    pub(super) body: Vec<u8>,
    /// What no error may show.
    pub(super) token: &'a Secret,
}

/// A body that was understood.
enum Body {
    Resp2(Vec<Value>),
    Item(Item),
    Items(Vec<Item>),
}

/// What JSON has for one command.
#[derive(Deserialize)]
struct Item {
    // Null is an answer, too, and not the lack of one.
    #[serde(default, deserialize_with = "present")]
    result: Option<Json>,
    #[serde(default)]
    error: Option<String>,
}

fn present<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Json>, D::Error> {
    Json::deserialize(deserializer).map(Some)
}

impl<'a> Answer<'a> {
    /// The answer to one command. An error of the command is a value; an error of the request is one.
    pub(super) fn one(self) -> RedisResult<Value> {
        let Heard { status, token, body } = self.heard()?;
        match body {
            Body::Resp2(values) => match <[Value; 1]>::try_from(values) {
                Ok([Value::ServerError(error)]) => Err(failure::whole(error)),
                Ok([value]) => Ok(value),
                Err(_) => Err(wrong_count()),
            },
            Body::Item(Item { error: Some(text), .. }) => Err(failure::refused(status, &hide(token, text))),
            Body::Item(item) => value(item, token),
            Body::Items(_) => Err(wrong_count()),
        }
    }

    /// The answers to that many commands, more than one.
    pub(super) fn several(self, count: usize) -> RedisResult<Vec<Value>> {
        let Heard { status, token, body } = self.heard()?;
        let values = match body {
            Body::Resp2(values) if values.len() == count => values,
            // Servers may also send one array. More than one command was sent, so it cannot be mistaken for an answer.
            Body::Resp2(mut values) if values.len() == 1 => match values.pop() {
                Some(Value::Array(values)) => values,
                Some(Value::ServerError(error)) => return Err(failure::whole(error)),
                _ => return Err(wrong_count()),
            },
            Body::Items(items) => {
                items.into_iter().map(|item| value(item, token)).collect::<RedisResult<Vec<_>>>()?
            }
            Body::Item(Item { error: Some(text), .. }) => {
                return Err(failure::refused(status, &hide(token, text)));
            }
            Body::Resp2(_) | Body::Item(_) => return Err(wrong_count()),
        };
        if values.len() == count { Ok(values) } else { Err(wrong_count()) }
    }

    /// The answers to that many commands in a transaction, after the one that echoed the [`SENTINEL`].
    pub(super) fn transaction(self, count: usize) -> RedisResult<Vec<Value>> {
        let mut values = self.several(count + 1)?.into_iter();
        let echo = match values.next() {
            Some(Value::BulkString(echo)) => echo,
            Some(Value::ServerError(error)) => return Err(error.into()),
            _ => return Err(unknown_encoding()),
        };
        if echo == SENTINEL.as_bytes() {
            return Ok(values.collect());
        }
        if json::decoded(echo)? != Value::BulkString(SENTINEL.into()) {
            return Err(unknown_encoding());
        }
        values.map(json::decode).collect()
    }

    /// What the server said, as far as it is part of the interface.
    fn heard(self) -> RedisResult<Heard<'a>> {
        let Answer { status, content_type, body, token } = self;
        if status == StatusCode::UNAUTHORIZED {
            return Err(failure::unauthorized());
        }
        let content_type = hide(token, content_type);
        let body = match read(&body) {
            Ok(Body::Resp2(values)) => {
                let values = values.into_iter().map(|value| without_token(value, token));
                Ok(Body::Resp2(values.collect::<RedisResult<_>>()?))
            }
            other => other,
        };
        let body = match body {
            Ok(body) if status.is_success() || is_error(&body) => body,
            Ok(_) => return Err(failure::foreign(status, &content_type, false)),
            Err(fault) => return Err(failure::foreign(status, &content_type, fault == Fault::Truncated)),
        };
        Ok(Heard { status, token, body })
    }
}

struct Heard<'a> {
    status: StatusCode,
    token: &'a Secret,
    body: Body,
}

fn read(body: &[u8]) -> Result<Body, Fault> {
    match body.trim_ascii_start().first() {
        Some(b'{') => json::parse(body).map(Body::Item),
        Some(b'[') => json::parse(body).map(Body::Items),
        Some(_) if body.first().copied().is_some_and(resp2::begins) => resp2::parse(body).map(Body::Resp2),
        Some(_) => Err(Fault::Malformed),
        None => Err(Fault::Truncated),
    }
}

/// Whether a body is an error of the whole request. Only such a one counts when the status is an error, too.
fn is_error(body: &Body) -> bool {
    match body {
        Body::Resp2(values) => matches!(values.as_slice(), [Value::ServerError(_)]),
        Body::Item(item) => item.error.is_some(),
        Body::Items(_) => false,
    }
}

fn value(item: Item, token: &Secret) -> RedisResult<Value> {
    match item {
        Item { error: Some(text), .. } => failure::server_error(&hide(token, text)).map(Value::ServerError),
        Item { result: Some(Json(value)), .. } => Ok(value),
        Item { .. } => Err(RedisError::from((ErrorKind::Parse, "neither a result nor an error"))),
    }
}

/// An error that quotes the token does so no more. Errors are not part of other answers.
fn without_token(value: Value, token: &Secret) -> RedisResult<Value> {
    let Value::ServerError(error) = value else { return Ok(value) };
    let text = match error.details() {
        Some(details) => format!("{} {details}", error.code()),
        None => error.code().to_owned(),
    };
    if !text.contains(token.reveal()) {
        return Ok(Value::ServerError(error));
    }
    failure::server_error(&hide(token, text)).map(Value::ServerError)
}

fn hide(token: &Secret, text: String) -> String {
    if text.contains(token.reveal()) { text.replace(token.reveal(), "[hidden]") } else { text }
}

fn wrong_count() -> RedisError {
    RedisError::from((ErrorKind::Parse, "not as many answers as commands"))
}

fn unknown_encoding() -> RedisError {
    RedisError::from((ErrorKind::Parse, "the answer does not show how it is encoded"))
}
