//! Writes commands as HTTP requests.
//!
//! A command is a JSON array of strings, so its arguments must be text. Only one binary argument at the end of a lone
//! command can travel: as the raw body, after the other arguments in the path.

use std::fmt::Write as _;

use redis::{Arg, Cmd, ErrorKind, Pipeline, RedisError, RedisResult};

/// What a request asks the server to answer in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// RESP2: exact, and told from JSON by its first byte, so a server that does not know it does no harm.
    Resp2,
    /// JSON with its strings in base64, where RESP2 is not to be had. A server that does not know it answers in plain
    /// strings, which look the same: see [`SENTINEL`].
    Base64,
}

/// A request without what all requests share: the server and the token.
#[derive(Debug)]
pub(super) struct Request {
    /// What follows the address, without a slash at the beginning.
    pub(super) path: String,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
    pub(super) form: Form,
}

/// What the first command of every transaction has echoed. Whether it comes back as it is or in base64 says how to read
/// the other answers, which nothing else does: neither a header nor the strings themselves.
pub(super) const SENTINEL: &str = "keylatch";

const JSON: &str = "application/json";

impl Request {
    /// One command.
    pub(super) fn command(cmd: &Cmd) -> RedisResult<Self> {
        let mut body = Vec::new();
        if write_command(&mut body, cmd).is_some() {
            return Ok(Self { path: String::new(), content_type: JSON, body, form: Form::Resp2 });
        }
        let (path, body) = in_path(cmd).ok_or_else(binary_argument)?;
        Ok(Self { path, content_type: "application/octet-stream", body, form: Form::Resp2 })
    }

    /// Several commands, between which others may run.
    pub(super) fn pipeline(pipeline: &Pipeline) -> RedisResult<Self> {
        let body = write_commands(pipeline.cmd_iter())?;
        Ok(Self { path: "pipeline".to_owned(), content_type: JSON, body, form: Form::Resp2 })
    }

    /// Several commands, between which no others run, after one that echoes the [`SENTINEL`].
    pub(super) fn transaction(pipeline: &Pipeline) -> RedisResult<Self> {
        let mut echo = redis::cmd("ECHO");
        echo.arg(SENTINEL);
        let body = write_commands(std::iter::once(&echo).chain(pipeline.cmd_iter()))?;
        Ok(Self { path: "multi-exec".to_owned(), content_type: JSON, body, form: Form::Base64 })
    }
}

fn binary_argument() -> RedisError {
    RedisError::from((
        ErrorKind::Client,
        "binary arguments cannot travel over REST; use text",
        "only the last argument of a single command may be binary, and then no other may be empty, `.` or `..`".to_owned(),
    ))
}

fn write_commands<'a>(commands: impl Iterator<Item = &'a Cmd>) -> RedisResult<Vec<u8>> {
    let mut body = vec![b'['];
    for cmd in commands {
        separate(&mut body);
        write_command(&mut body, cmd).ok_or_else(binary_argument)?;
    }
    body.push(b']');
    Ok(body)
}

/// `None` where an argument is not text.
fn write_command(body: &mut Vec<u8>, cmd: &Cmd) -> Option<()> {
    body.push(b'[');
    for argument in cmd.args_iter() {
        separate(body);
        serde_json::to_writer(&mut *body, std::str::from_utf8(bytes(&argument)).ok()?).ok()?;
    }
    body.push(b']');
    Some(())
}

fn separate(body: &mut Vec<u8>) {
    if body.last() != Some(&b'[') {
        body.push(b',');
    }
}

/// The last argument as the body, the others as segments of the path. `None` where that is not possible.
fn in_path(cmd: &Cmd) -> Option<(String, Vec<u8>)> {
    let mut path = String::new();
    let mut arguments = cmd.args_iter();
    let last = arguments.len().checked_sub(1)?;
    for argument in arguments.by_ref().take(last) {
        let segment = std::str::from_utf8(bytes(&argument)).ok()?;
        // A path without them means the same to whatever handles URLs on the way, however they are written.
        if matches!(segment, "" | "." | "..") {
            return None;
        }
        if !path.is_empty() {
            path.push('/');
        }
        escape(segment, &mut path);
    }
    // Without anything in the path the body would be read as JSON.
    let body = arguments.next().filter(|_| !path.is_empty())?;
    Some((path, bytes(&body).to_vec()))
}

fn escape(segment: &str, path: &mut String) {
    for byte in segment.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            path.push(char::from(byte));
        } else {
            // Writing to a string does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
}

fn bytes<'a>(argument: &Arg<&'a [u8]>) -> &'a [u8] {
    match argument {
        Arg::Simple(bytes) => bytes,
        // Where an iteration starts; the client puts the later positions in by itself.
        _ => b"0",
    }
}

#[cfg(test)]
mod tests {
    use redis::cmd;

    use super::*;

    fn body(request: &Request) -> &str {
        std::str::from_utf8(&request.body).expect("it is text")
    }

    #[test]
    fn a_command_is_an_array_of_strings() {
        let request =
            Request::command(cmd("SET").arg("k\"ey").arg("é\n\0").arg("PX").arg(1000)).expect("it is text");
        assert_eq!(body(&request), r#"["SET","k\"ey","é\n\u0000","PX","1000"]"#);
        assert_eq!((request.path.as_str(), request.content_type), ("", "application/json"));
    }

    #[test]
    fn a_scan_starts_at_zero() {
        let mut scan = cmd("SCAN");
        scan.cursor_arg(0).arg("COUNT").arg(5);
        assert_eq!(body(&Request::command(&scan).expect("it is text")), r#"["SCAN","0","COUNT","5"]"#);
    }

    #[test]
    fn a_binary_argument_at_the_end_is_the_body() {
        let request =
            Request::command(cmd("SET").arg("a/b c%?").arg(b"\xff\0".as_slice())).expect("it may travel");
        assert_eq!(request.path, "SET/a%2Fb%20c%25%3F");
        assert_eq!(request.body, b"\xff\0");
        assert_eq!(request.content_type, "application/octet-stream");
    }

    #[test]
    fn other_binary_arguments_are_refused() {
        let binary = b"\xff".as_slice();
        for refused in [
            cmd("SET").arg(binary).arg("value"),
            cmd("SET").arg("key").arg(binary).arg("PX").arg(1),
            cmd("MSET").arg(binary).arg(binary),
            cmd("SET").arg("").arg(binary),
            cmd("SET").arg(".").arg(binary),
            cmd("SET").arg("..").arg(binary),
            redis::Cmd::new().arg(binary),
        ] {
            let error = Request::command(refused).expect_err("it cannot travel");
            assert_eq!(error.kind(), ErrorKind::Client);
            assert!(error.to_string().contains("binary arguments cannot travel over REST"), "{error}");
        }
        let mut pipeline = redis::pipe();
        pipeline.cmd("SET").arg("key").arg(binary);
        assert!(Request::pipeline(&pipeline).is_err());
        assert!(Request::transaction(&pipeline).is_err());
    }

    #[test]
    fn several_commands_are_an_array_of_arrays() {
        let mut pipeline = redis::pipe();
        pipeline.cmd("GET").arg("a").cmd("PING");
        let request = Request::pipeline(&pipeline).expect("it is text");
        assert_eq!((request.path.as_str(), body(&request)), ("pipeline", r#"[["GET","a"],["PING"]]"#));
        let request = Request::transaction(&pipeline).expect("it is text");
        assert_eq!(body(&request), r#"[["ECHO","keylatch"],["GET","a"],["PING"]]"#);
        assert_eq!((request.path.as_str(), request.form), ("multi-exec", Form::Base64));
    }
}
