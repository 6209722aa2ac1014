//! What a failure says: about the server, about whether the command ran, and in our own terms.

use redis::{RedisError, ServerErrorKind};

use crate::error::{Error, ErrorKind};

/// Why a request came to nothing.
#[derive(Debug, Clone)]
pub(super) enum Failed {
    /// It was not sent: there is no connection, or the breaker is open.
    NotSent(Error),
    /// It was sent, to the server at that address.
    Sent { server: String, error: RedisError },
}

/// What an answer says about the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Health {
    /// It serves, also where it answers with an error about the command.
    Serves,
    /// The connection is of no more use.
    Broken,
    /// It says itself that it does not serve at present.
    Unready,
    /// It is no primary any more, or does not own the key.
    Elsewhere,
}

/// Whether a failed command can have changed anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ran {
    /// Certainly not, and it may go better the next time.
    No,
    Unknown,
    /// The answer is about the command itself.
    Answered,
}

impl Failed {
    pub(super) fn ran(&self) -> Ran {
        match self {
            // A dial that failed is not repeated for this caller: the breaker has its own pace.
            Self::NotSent(_) => Ran::Answered,
            Self::Sent { error, .. } => match health(error) {
                Health::Unready | Health::Elsewhere => Ran::No,
                Health::Broken => Ran::Unknown,
                Health::Serves => Ran::Answered,
            },
        }
    }

    /// In our own terms.
    pub(super) fn during(self, operation: &'static str) -> Error {
        match self {
            Self::NotSent(error) => error.during(operation).unsent(),
            Self::Sent { server, error } => failed(operation, &server, error),
        }
    }
}

pub(super) fn health(error: &RedisError) -> Health {
    match error.kind() {
        redis::ErrorKind::Server(ServerErrorKind::BusyLoading | ServerErrorKind::MasterDown) => {
            Health::Unready
        }
        redis::ErrorKind::Server(
            ServerErrorKind::ReadOnly
            | ServerErrorKind::Moved
            | ServerErrorKind::Ask
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown,
        ) => Health::Elsewhere,
        redis::ErrorKind::Io | redis::ErrorKind::Parse => Health::Broken,
        _ if is_read_only(error) => Health::Elsewhere,
        _ if error.is_connection_dropped() => Health::Broken,
        _ => Health::Serves,
    }
}

/// Whether the server is a replica that was asked to write. Before Redis 7, what goes wrong within a script has no code of its
/// own.
pub(super) fn is_read_only(error: &RedisError) -> bool {
    let within_a_script =
        |detail: &str| detail.starts_with("Error running script") && detail.contains("-READONLY ");
    error.code() == Some("READONLY") || error.detail().is_some_and(within_a_script)
}

/// The kind of failure, the endpoint, the server's error code, and the client's error as the source.
pub(super) fn failed(operation: &'static str, address: &str, error: RedisError) -> Error {
    let kind = match error.kind() {
        _ if error.is_timeout() => ErrorKind::Timeout,
        redis::ErrorKind::Parse | redis::ErrorKind::UnexpectedReturnType => ErrorKind::Protocol,
        redis::ErrorKind::InvalidClientConfig => ErrorKind::Configuration,
        // The next command goes to another one; or others will leave.
        _ if is_read_only(&error) || is_crowded(&error) => ErrorKind::Unavailable,
        // The server is there but not yet, or no longer, willing: the same command may succeed later.
        redis::ErrorKind::Io
        | redis::ErrorKind::Server(
            ServerErrorKind::BusyLoading
            | ServerErrorKind::MasterDown
            | ServerErrorKind::ReadOnly
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown,
        ) => ErrorKind::Unavailable,
        _ => ErrorKind::Refused,
    };
    let described = Error::new(kind, operation).with("server", address);
    let described = match error.code() {
        Some(code) => described.with("code", code),
        None => described,
    };
    let described = match remedy(operation, &error) {
        Some(remedy) => described.remedy(remedy),
        None => described,
    };
    described.because(error)
}

/// Whether the server has all the clients that it may.
fn is_crowded(error: &RedisError) -> bool {
    error.detail().is_some_and(|detail| detail.starts_with("max number of clients"))
}

/// What a person can do about it, where that is known.
fn remedy(operation: &'static str, error: &RedisError) -> Option<&'static str> {
    match error.code() {
        Some("NOAUTH") => Some("the server wants a password: set it in `REDIS_URL` or `REDIS_PASSWORD`"),
        Some("WRONGPASS") => Some(CHECK_LOGIN),
        Some("OOM") => Some("raise its `maxmemory`, or let it evict by `maxmemory-policy`"),
        _ if error.detail() == Some(TOKEN) => Some("check the token in `UPSTASH_REDIS_REST_TOKEN`"),
        _ if error.kind() == redis::ErrorKind::AuthenticationFailed => Some(CHECK_LOGIN),
        _ if is_crowded(error) => Some("raise its `maxclients`, or lower `REDIS_POOL_SIZE`"),
        // A server that is full may reset a connection before its reason has been read.
        _ if operation == "connect" && error.is_connection_dropped() => {
            Some("it closed the connection at once: look at its `maxclients`, and whether it wants TLS")
        }
        _ => None,
    }
}

/// The detail of a login that is refused over REST: what is to be checked.
pub(super) const TOKEN: &str = "UPSTASH_REDIS_REST_TOKEN";
const CHECK_LOGIN: &str = "check the user and the password in `REDIS_URL`, or `REDIS_PASSWORD`";

/// For the client's traits: the client's own error where there is one, else ours as an I/O error.
impl From<Error> for RedisError {
    fn from(error: Error) -> Self {
        use std::error::Error as _;
        let mut source = error.source();
        while let Some(cause) = source {
            if let Some(own) = cause.downcast_ref::<Self>() {
                return own.clone();
            }
            source = cause.source();
        }
        let kind = match error.kind() {
            ErrorKind::Timeout => std::io::ErrorKind::TimedOut,
            ErrorKind::Unavailable => std::io::ErrorKind::NotConnected,
            _ => std::io::ErrorKind::Other,
        };
        std::io::Error::new(kind, error).into()
    }
}
