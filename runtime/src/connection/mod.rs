//! The managed connection: dials on first use, redials when it breaks, gives every command a time-out.

mod config;
mod failure;
mod link;

pub(crate) use config::ConnectionConfig;

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
    config: ConnectionConfig,
    link: Link,
    wakeups: Wakeups,
}

impl Connection {
    /// Does not connect yet, so it needs no runtime.
    pub(crate) fn new(config: ConnectionConfig) -> Result<Self> {
        let wakeups = Wakeups::default();
        let link = Link::new(&config, wakeups.clone())?;
        Ok(Self(Arc::new(Shared { config, link, wakeups })))
    }

    pub(crate) fn wakeups(&self) -> &Wakeups {
        &self.0.wakeups
    }

    /// Whether the server tells this connection of changes.
    pub(crate) fn is_tracking(&self) -> bool {
        self.0.link.is_tracking()
    }

    /// Sends one command. The time-out covers the wait for a connection, too.
    pub(crate) async fn command(&self, operation: &'static str, cmd: &Cmd) -> Result<Value> {
        let sent = async {
            let mut live = self.0.link.live().await.map_err(|error| error.during(operation))?;
            let answer = live.connection.req_packed_command(cmd).await;
            self.checked(operation, &live, answer.and_then(Value::extract_error))
        };
        self.in_time(operation, sent).await
    }

    /// Sends several commands in one write. The first error among the answers is the error of the whole.
    pub(crate) async fn pipeline(&self, operation: &'static str, pipeline: &Pipeline) -> Result<Vec<Value>> {
        let sent = async {
            let mut live = self.0.link.live().await.map_err(|error| error.during(operation))?;
            let answers = live.connection.req_packed_commands(pipeline, 0, pipeline.len()).await;
            let answers = answers.and_then(|answers| {
                answers.into_iter().map(Value::extract_error).collect::<redis::RedisResult<Vec<_>>>()
            });
            self.checked(operation, &live, answers)
        };
        self.in_time(operation, sent).await
    }

    async fn in_time<T>(&self, operation: &'static str, sent: impl Future<Output = Result<T>>) -> Result<T> {
        let limit = self.0.config.command_timeout;
        clock::within(limit, sent).await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Timeout, operation)
                .with("server", self.0.config.address())
                .with("limit", format_args!("{limit:?}")))
        })
    }

    fn checked<T>(&self, operation: &'static str, live: &Live, answer: redis::RedisResult<T>) -> Result<T> {
        answer.map_err(|error| {
            if is_broken(&error) {
                self.0.link.broken(live);
            }
            failed(operation, self.0.config.address(), error)
        })
    }
}
