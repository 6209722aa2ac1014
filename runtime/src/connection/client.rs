//! The client's own trait on the managed connection: every typed command, pipelines, transactions, scripts.

use futures_util::future::try_join_all;
use redis::aio::ConnectionLike;
use redis::{Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use super::commands::{self, Nature, Placement, Together};
use super::request::{Repeat, Request, Route, Server};
use super::{Connection, failure};
use crate::error::{Error, Result};

impl ConnectionLike for Connection {
    fn req_packed_command<'a>(&'a mut self, cmd: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(async move { self.users_command(cmd).await })
    }

    fn req_packed_commands<'a>(
        &'a mut self,
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        Box::pin(async move { self.users_pipeline(pipeline, offset, count).await })
    }

    fn get_db(&self) -> i64 {
        self.0.database
    }
}

const OPERATION: &str = "send a command";

impl Connection {
    async fn users_command(&self, cmd: &Cmd) -> RedisResult<Value> {
        let nature = commands::nature(cmd);
        match nature {
            Nature::ChangesItsConnection => return Err(not_on_a_shared_connection()),
            Nature::Blocks => return Box::pin(self.on_a_connection_of_its_own(cmd)).await,
            Nature::Reads | Nature::Writes => {}
        }
        if !self.is_cluster() {
            return Ok(self.send(OPERATION, users_route(nature, None), Request::Command(cmd)).await?);
        }
        Box::pin(self.in_the_cluster(cmd, nature)).await
    }

    async fn in_the_cluster(&self, cmd: &Cmd, nature: Nature) -> RedisResult<Value> {
        match commands::placement(cmd) {
            Placement::Key(key) => {
                Ok(self.send(OPERATION, users_route(nature, Some(key)), Request::Command(cmd)).await?)
            }
            Placement::Anywhere => {
                Ok(self.send(OPERATION, users_route(nature, None), Request::Command(cmd)).await?)
            }
            Placement::Everywhere(together) => {
                let nodes = self.primaries(OPERATION).await?;
                let answers = try_join_all(nodes.iter().map(|node| node.command(OPERATION, cmd))).await?;
                put_together(answers, together)
            }
            Placement::Split { step, together } => self.split(cmd, step, together).await,
        }
    }

    /// Sends a command whose keys lie in several slots as one command a slot.
    async fn split(&self, cmd: &Cmd, step: usize, together: Together) -> RedisResult<Value> {
        let arguments: Vec<&[u8]> =
            (1..cmd.args_iter().len()).filter_map(|index| commands::arg(cmd, index)).collect();
        let mut parts: Vec<(u16, Cmd, Vec<usize>)> = Vec::new();
        for (index, group) in arguments.chunks(step).enumerate() {
            let slot = super::slot_of(group[0]);
            let position = parts.iter().position(|(known, ..)| *known == slot).unwrap_or_else(|| {
                let mut part = Cmd::new();
                part.arg(commands::arg(cmd, 0));
                parts.push((slot, part, Vec::new()));
                parts.len() - 1
            });
            let part = &mut parts[position];
            for argument in group {
                part.1.arg(*argument);
            }
            part.2.push(index);
        }
        let sent = parts.iter().map(|(_, part, _)| {
            self.send(
                OPERATION,
                users_route(commands::nature(part), commands::arg(part, 1)),
                Request::Command(part),
            )
        });
        let answers = try_join_all(sent).await?;
        if together != Together::ByKey {
            return put_together(answers, together);
        }
        let mut by_key = vec![Value::Nil; arguments.len()];
        for ((_, _, places), answer) in parts.iter().zip(answers) {
            let Value::Array(values) = answer else { return Err(no_sense()) };
            for (place, value) in places.iter().zip(values) {
                by_key[*place] = value;
            }
        }
        Ok(Value::Array(by_key))
    }

    async fn users_pipeline(
        &self,
        pipeline: &Pipeline,
        offset: usize,
        count: usize,
    ) -> RedisResult<Vec<Value>> {
        if pipeline
            .cmd_iter()
            .map(commands::nature)
            .any(|nature| matches!(nature, Nature::Blocks | Nature::ChangesItsConnection))
        {
            return Err(not_on_a_shared_connection());
        }
        if self.is_cluster() && !pipeline.is_transaction() {
            // Each to the owner of its key; an error of one is its own answer, as in a pipeline on one server.
            let sent = pipeline.cmd_iter().map(|cmd| async move {
                match self.users_command(cmd).await {
                    Err(error) => server_error(error),
                    answer => answer,
                }
            });
            return try_join_all(sent).await;
        }
        let key = pipeline.cmd_iter().find_map(|cmd| match commands::placement(cmd) {
            Placement::Key(key) => Some(key),
            Placement::Split { .. } => commands::arg(cmd, 1),
            Placement::Anywhere | Placement::Everywhere(_) => None,
        });
        let only_reads = pipeline.cmd_iter().all(|cmd| commands::nature(cmd) == Nature::Reads);
        let repeat = if only_reads { Repeat::Safe } else { Repeat::Never };
        let route = Route { key, server: Server::Any, repeat };
        match self.send(OPERATION, route, Request::Pipeline { pipeline, offset, count }).await? {
            Value::Array(answers) => Ok(answers),
            _ => Err(no_sense()),
        }
    }

    /// A command that waits on the server holds up whatever shares its connection, so it gets one of its own, and no
    /// time-out but its own.
    async fn on_a_connection_of_its_own(&self, cmd: &Cmd) -> RedisResult<Value> {
        self.open(OPERATION)?;
        let key = match commands::placement(cmd) {
            Placement::Key(key) => Some(key),
            _ => None,
        };
        let endpoint = self.choose(users_route(Nature::Writes, key)).await?;
        let mut connection = endpoint.dedicated().await?;
        connection.send_packed_command(cmd).await?.extract_error()
    }

    /// A plain client to the primary (in a cluster: to the owner of `key`), for what this type does not do: subscriptions,
    /// `WATCH`, a connection of one's own. It neither reconnects nor retries.
    ///
    /// # Errors
    /// When it is not known which server that is.
    pub async fn client(&self, key: Option<&[u8]>) -> Result<redis::Client> {
        let route = Route { key, server: Server::Any, repeat: Repeat::Never };
        super::in_time(OPERATION, self.0.limits.command_timeout, self.choose(route)).await?.client()
    }
}

fn users_route(nature: Nature, key: Option<&[u8]>) -> Route<'_> {
    if nature == Nature::Reads {
        Route { key, server: Server::AnyReplica, repeat: Repeat::Safe }
    } else {
        Route { key, server: Server::Any, repeat: Repeat::Never }
    }
}

fn put_together(answers: Vec<Value>, together: Together) -> RedisResult<Value> {
    match together {
        Together::First | Together::ByKey => Ok(answers.into_iter().next().unwrap_or(Value::Nil)),
        Together::Sum => {
            let mut sum = 0;
            for answer in answers {
                let Value::Int(part) = answer else { return Err(no_sense()) };
                sum += part;
            }
            Ok(Value::Int(sum))
        }
        Together::Concatenate => {
            let mut all = Vec::new();
            for answer in answers {
                let Value::Array(part) = answer else { return Err(no_sense()) };
                all.extend(part);
            }
            Ok(Value::Array(all))
        }
    }
}

/// What the server itself answered stays in the place of the answer; anything else ends the whole.
fn server_error(error: RedisError) -> RedisResult<Value> {
    match error.clone().try_into() {
        Ok(answered) => Ok(Value::ServerError(answered)),
        Err(_) => Err(error),
    }
}

fn no_sense() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "the servers' answers do not fit together").into()
}

fn not_on_a_shared_connection() -> RedisError {
    (
        redis::ErrorKind::Client,
        "this command would change or hold up a connection that others share; use `Connection::client()`",
    )
        .into()
}

impl From<failure::Failed> for Error {
    fn from(failed: failure::Failed) -> Self {
        failed.during(OPERATION)
    }
}
