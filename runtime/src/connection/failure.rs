//! How the client's errors become ours.

use redis::RedisError;

use crate::error::{Error, ErrorKind};

/// Whether the connection is of no more use.
pub(super) fn is_broken(error: &RedisError) -> bool {
    error.is_connection_dropped() || error.is_io_error() || error.kind() == redis::ErrorKind::Parse
}

/// The kind of failure, the endpoint, the server's error code, and the client's error as the source.
pub(super) fn failed(operation: &'static str, address: &str, error: RedisError) -> Error {
    let kind = match error.kind() {
        _ if error.is_timeout() => ErrorKind::Timeout,
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => ErrorKind::Protocol,
        redis::ErrorKind::InvalidClientConfig => ErrorKind::Configuration,
        // The server is there but not yet, or no longer, willing: the same command may succeed later.
        redis::ErrorKind::Io
        | redis::ErrorKind::Server(
            redis::ServerErrorKind::BusyLoading | redis::ServerErrorKind::MasterDown,
        ) => ErrorKind::Unavailable,
        _ => ErrorKind::Refused,
    };
    let described = Error::new(kind, operation).with("server", address);
    let described = match error.code() {
        Some(code) => described.with("code", code),
        None => described,
    };
    described.because(error)
}
