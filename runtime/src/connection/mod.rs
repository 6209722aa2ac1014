//! The managed connection: dials on first use, redials when it breaks, gives every command a time-out.

mod config;
mod failure;
mod link;
mod pulse;
#[cfg(feature = "upstash")]
#[cfg_attr(not(test), expect(dead_code, unused_imports, reason = "`Connection` does not use it yet"))]
mod rest;
mod secret;
mod tls;

pub(crate) use config::{Address, ConnectionConfig, Limits, Topology};
pub use secret::Secret;
pub(crate) use tls::Tls;

use std::sync::Arc;

use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, Value};

use crate::clock;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Wakeups;

use failure::{failed, is_broken};
use link::{Link, Live};

/// One multiplexed connection to one server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connection(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    address: Address,
    limits: Limits,
    link: Link,
    wakeups: Wakeups,
}

/// Which server a command may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// Only one that knows the last invalidations: for whatever reads entries.
    Familiar,
    /// Any: for what invalidates, and for locks.
    Any,
}

impl Connection {
    /// Does not connect yet, so it needs no runtime.
    pub(crate) fn new(config: ConnectionConfig) -> Result<Self> {
        let ConnectionConfig { topology: Topology::Single(address), limits } = config else {
            return Err(Error::new(ErrorKind::Configuration, "configure").remedy("not yet"));
        };
        let wakeups = Wakeups::default();
        let link = Link::new(&address, limits, wakeups.clone())?;
        Ok(Self(Arc::new(Shared { address, limits, link, wakeups })))
    }

    pub(crate) fn wakeups(&self) -> &Wakeups {
        &self.0.wakeups
    }

    /// Whether the server tells this connection of changes.
    pub(crate) fn is_tracking(&self) -> bool {
        self.0.link.is_tracking()
    }

    /// The generation of a connection to another server than before, which is not read until it is [`familiar`](Self::familiar).
    pub(crate) fn unfamiliar(&self) -> Option<u64> {
        self.0.link.unfamiliar()
    }

    /// The server of that generation has been told the last invalidations.
    pub(crate) fn familiar(&self, generation: u64) {
        self.0.link.familiar(generation);
    }

    /// Sends one command. The time-out covers the wait for a connection, too.
    pub(crate) async fn command(&self, operation: &'static str, server: Server, cmd: &Cmd) -> Result<Value> {
        let sent = async {
            let mut live = self.live(operation, server).await?;
            let pulse = Arc::clone(&live.pulse);
            let sent = pulse.sent();
            let answer = live.connection.req_packed_command(cmd).await;
            sent.answered();
            self.checked(operation, &live, answer.and_then(Value::extract_error))
        };
        self.in_time(operation, sent).await
    }

    /// Sends several commands in one write. The first error among the answers is the error of the whole.
    pub(crate) async fn pipeline(
        &self,
        operation: &'static str,
        server: Server,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>> {
        let sent = async {
            let mut live = self.live(operation, server).await?;
            let pulse = Arc::clone(&live.pulse);
            let sent = pulse.sent();
            let answers = live.connection.req_packed_commands(pipeline, 0, pipeline.len()).await;
            sent.answered();
            let answers = answers.and_then(|answers| {
                answers.into_iter().map(Value::extract_error).collect::<redis::RedisResult<Vec<_>>>()
            });
            self.checked(operation, &live, answers)
        };
        self.in_time(operation, sent).await
    }

    /// A connection, to a server that may be used so. Whether it may is asked after it is there: the dial decides it.
    async fn live(&self, operation: &'static str, server: Server) -> Result<Live> {
        let live = self.0.link.live().await.map_err(|error| error.during(operation))?;
        if server == Server::Familiar && self.unfamiliar().is_some() {
            return Err(Error::new(ErrorKind::Unavailable, operation)
                .with("server", &self.0.address)
                .remedy("it was restarted or replaced, and is read once it knows the last invalidations"));
        }
        Ok(live)
    }

    async fn in_time<T>(&self, operation: &'static str, sent: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.0.limits.command_timeout;
        clock::within(limit, sent).await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Timeout, operation)
                .with("server", &self.0.address)
                .with("limit", format_args!("{limit:?}")))
        })
    }

    fn checked<T>(&self, operation: &'static str, live: &Live, answer: redis::RedisResult<T>) -> Result<T> {
        answer.map_err(|error| {
            if is_broken(&error) {
                self.0.link.broken(live);
            }
            failed(operation, &self.0.address.to_string(), error)
        })
    }
}
