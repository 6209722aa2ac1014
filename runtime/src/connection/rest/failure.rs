//! How what can go wrong over HTTP becomes the errors that the client has over TCP.

use std::error::Error as StdError;
use std::io;

use redis::{ErrorKind, RedisError, RedisResult, ServerError, Value};
use reqwest::StatusCode;

/// Codes that are found even in the middle of a message.
const KNOWN: [&str; 26] = [
    "ERR",
    "EXECABORT",
    "LOADING",
    "NOSCRIPT",
    "MOVED",
    "ASK",
    "TRYAGAIN",
    "CLUSTERDOWN",
    "CROSSSLOT",
    "MASTERDOWN",
    "READONLY",
    "NOTBUSY",
    "NOSUB",
    "NOPERM",
    "WRONGTYPE",
    "WRONGPASS",
    "NOAUTH",
    "OOM",
    "BUSY",
    "BUSYKEY",
    "BUSYGROUP",
    "NOGROUP",
    "NOREPLICAS",
    "MISCONF",
    "NOPROTO",
    "UNBLOCKED",
];

/// As much of an error text is kept, in characters: it ends up in logs.
const LONGEST_MESSAGE: usize = 1000;

/// The error that a text stands for: its code, and what follows. Some servers put words of their own before the code.
pub(super) fn server_error(text: &str) -> RedisResult<ServerError> {
    let line: String =
        text.chars().take(LONGEST_MESSAGE).map(|c| if c.is_control() { ' ' } else { c }).collect();
    let line = match code(&line) {
        Some(at) => format!("-{}\r\n", &line[at..]),
        None => format!("-ERR {line}\r\n"),
    };
    match redis::parse_redis_value(line.as_bytes())? {
        Value::ServerError(error) => Ok(error),
        _ => Err(RedisError::from((ErrorKind::Parse, "an error that is none"))),
    }
}

/// Where the code begins: at the beginning, after a colon, or wherever there is a known one.
fn code(text: &str) -> Option<usize> {
    let words = || {
        text.split(' ').scan(0, |next, word| {
            let at = *next;
            *next += word.len() + 1;
            Some((at, word))
        })
    };
    let expected = words()
        .find(|&(at, word)| is_code(word) && (at == 0 || text.get(..at).is_some_and(|s| s.ends_with(": "))));
    expected.or_else(|| words().find(|(_, word)| KNOWN.contains(word))).map(|(at, _)| at)
}

fn is_code(word: &str) -> bool {
    word.len() > 1
        && word.starts_with(|c: char| c.is_ascii_uppercase())
        && word.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_')
}

/// The error of a whole request whose answer has an error text.
pub(super) fn refused(status: StatusCode, text: &str) -> RedisError {
    // Without a code it is not Redis that speaks, but what stands before it.
    if code(text).is_none() && is_temporary(status) {
        return temporary(status, text);
    }
    match server_error(text) {
        Ok(error) => whole(error),
        Err(error) => error,
    }
}

/// The error of a whole request, where it is the server's.
pub(super) fn whole(error: ServerError) -> RedisError {
    if matches!(error.code(), "WRONGPASS" | "NOAUTH") { unauthorized() } else { error.into() }
}

/// The token is not the right one. What the server says about it stays out, lest it quote the token.
pub(super) fn unauthorized() -> RedisError {
    let variable = crate::connection::failure::TOKEN.to_owned();
    RedisError::from((ErrorKind::AuthenticationFailed, "the server refused the token", variable))
}

/// The error of a whole request whose answer is not one of the interface.
pub(super) fn foreign(status: StatusCode, content_type: &str, truncated: bool) -> RedisError {
    if is_temporary(status) {
        return temporary(status, content_type);
    }
    let detail = format!("HTTP {}, {content_type}", status.as_u16());
    if truncated && status.is_success() {
        return io::Error::new(io::ErrorKind::UnexpectedEof, format!("the answer ends too early ({detail})"))
            .into();
    }
    RedisError::from((ErrorKind::Parse, "not an answer of the REST interface", detail))
}

/// The answer is larger than what is read.
pub(super) fn too_large(limit: usize) -> RedisError {
    RedisError::from((ErrorKind::Client, "the answer is too large", format!("more than {limit} bytes")))
}

/// Whether the same request may succeed later.
fn is_temporary(status: StatusCode) -> bool {
    status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT)
}

fn temporary(status: StatusCode, detail: &str) -> RedisError {
    let kind = match status {
        StatusCode::GATEWAY_TIMEOUT | StatusCode::REQUEST_TIMEOUT => io::ErrorKind::TimedOut,
        StatusCode::TOO_MANY_REQUESTS => io::ErrorKind::QuotaExceeded,
        _ => io::ErrorKind::Other,
    };
    let detail: String = detail.chars().take(LONGEST_MESSAGE).collect();
    io::Error::new(kind, format!("HTTP {}: {detail}", status.as_u16())).into()
}

/// The error of a request that got no answer, or not all of one.
pub(super) fn transport(error: reqwest::Error) -> RedisError {
    let error = error.without_url();
    let mut text = error.to_string();
    let mut found = None;
    let mut cause = error.source();
    while let Some(error) = cause {
        let _ = std::fmt::Write::write_fmt(&mut text, format_args!(": {error}"));
        found = found.or_else(|| error.downcast_ref::<io::Error>().map(io::Error::kind));
        cause = error.source();
    }
    let kind = match found {
        _ if error.is_timeout() => io::ErrorKind::TimedOut,
        Some(kind) => kind,
        None if error.is_connect() => io::ErrorKind::NotConnected,
        None if error.is_builder() => io::ErrorKind::InvalidInput,
        // The connection was closed in the middle of the exchange.
        None => io::ErrorKind::ConnectionAborted,
    };
    io::Error::new(kind, text).into()
}

#[cfg(test)]
mod tests {
    use redis::ServerErrorKind;

    use super::*;

    #[test]
    fn the_code_is_found_wherever_it_is() {
        for (text, code, detail) in [
            ("ERR syntax error", "ERR", "syntax error"),
            ("WRONGTYPE Operation against", "WRONGTYPE", "Operation against"),
            (
                "Failed to execute Redis command: NOSCRIPT No matching script.",
                "NOSCRIPT",
                "No matching script.",
            ),
            ("Failed to execute Redis command: MYCODE1 mine: ERR", "MYCODE1", "mine: ERR"),
            ("the server said WRONGTYPE Operation", "WRONGTYPE", "Operation"),
            ("ERR in a script: WRONGTYPE Operation", "ERR", "in a script: WRONGTYPE Operation"),
            ("Bad HTTP request", "ERR", "Bad HTTP request"),
            ("two\r\nlines", "ERR", "two  lines"),
            ("Ünïcode: LOADING é", "LOADING", "é"),
        ] {
            let error = server_error(text).expect("it is an error");
            assert_eq!((error.code(), error.details()), (code, Some(detail)), "{text}");
        }
        for text in ["", " ", "\n", "-", "NOSCRIPT", ": "] {
            assert!(server_error(text).is_ok(), "{text:?}");
        }
        let long = server_error(&format!("OOM {}", "é".repeat(5000))).expect("it is an error");
        assert_eq!((long.code(), long.details().map(|text| text.chars().count())), ("OOM", Some(996)));
        let kind = server_error("NOSCRIPT").expect("it is an error").kind();
        assert_eq!(kind, Some(ServerErrorKind::NoScript));
    }

    #[test]
    fn only_what_may_pass_is_an_io_error() {
        let unavailable = refused(StatusCode::INTERNAL_SERVER_ERROR, "Connection is closed.");
        assert!(unavailable.is_io_error() && !unavailable.is_timeout(), "{unavailable}");
        assert!(refused(StatusCode::GATEWAY_TIMEOUT, "upstream").is_timeout());
        let refused =
            refused(StatusCode::INTERNAL_SERVER_ERROR, "Failed to execute Redis command: OOM no memory");
        assert_eq!((refused.code(), refused.is_io_error()), (Some("OOM"), false));
        assert_eq!(foreign(StatusCode::NOT_FOUND, "text/html", false).kind(), ErrorKind::Parse);
        assert!(foreign(StatusCode::BAD_GATEWAY, "text/html", false).is_io_error());
        assert!(foreign(StatusCode::OK, "application/json", true).is_connection_dropped());
    }
}
