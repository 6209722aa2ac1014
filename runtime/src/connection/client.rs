//! The client's own trait on the managed connection: every typed command, pipelines, transactions, scripts.

use std::collections::HashMap;

use futures_util::future::{join_all, try_join_all};
use redis::aio::ConnectionLike;
use redis::{Arg, Cmd, Pipeline, RedisError, RedisFuture, RedisResult, Value};

use super::commands::{self, Nature, Placement, Together};
use super::request::{Repeat, Request, Route, Server, is_elsewhere};
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
    pub(super) async fn users_command(&self, cmd: &Cmd) -> RedisResult<Value> {
        let nature = commands::nature(cmd);
        match nature {
            Nature::ChangesItsConnection => return Err(not_on_a_shared_connection()),
            Nature::Blocks => return Box::pin(self.on_a_connection_of_its_own(cmd)).await,
            Nature::Reads | Nature::Writes => {}
        }
        if !self.is_cluster() {
            // Without a detour: this is the way of every command.
            let (answer, _) =
                self.send_via(OPERATION, users_route(nature, None), Request::Command(cmd)).await?;
            return Ok(answer);
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
                let answers = nodes.iter().map(|node| node.command(OPERATION, cmd));
                if together == Together::FirstThatAnswers {
                    return Ok(first_that_answers(join_all(answers).await)?);
                }
                put_together(try_join_all(answers).await?, together)
            }
            Placement::Split { step, together } => self.split(cmd, step, together).await,
            Placement::OneServerOnly => Err(not_of_one_server()),
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
            return self.pipeline_in_the_cluster(pipeline).await;
        }
        let key = pipeline.cmd_iter().find_map(some_key);
        if self.is_cluster() {
            let slot = key.map(super::slot_of);
            let mut with_keys = pipeline.cmd_iter().filter(|cmd| some_key(cmd).is_some());
            if with_keys.any(|cmd| one_slot(cmd) != slot) {
                return Err(not_in_one_slot());
            }
        }
        let only_reads = pipeline.cmd_iter().all(|cmd| commands::nature(cmd) == Nature::Reads);
        let repeat = if only_reads { Repeat::Safe } else { Repeat::Never };
        let route = Route { key, server: Server::Any, repeat };
        match self.send(OPERATION, route, Request::Pipeline { pipeline, offset, count }).await? {
            Value::Array(answers) => Ok(answers),
            _ => Err(no_sense()),
        }
    }

    /// Commands whose keys are of one slot travel together, and so in their order. What concerns several slots, or none, has
    /// its turn between them.
    async fn pipeline_in_the_cluster(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let mut answers = Vec::with_capacity(pipeline.len());
        let mut parts = HashMap::new();
        for (index, cmd) in pipeline.cmd_iter().enumerate() {
            answers.push(Value::Nil);
            if let Some(slot) = one_slot(cmd) {
                let part: &mut Part = parts.entry(slot).or_default();
                part.pipeline.add_command(cmd.clone());
                part.places.push(index);
                continue;
            }
            self.deliver_parts(&mut parts, &mut answers).await?;
            answers[index] = self.users_command(cmd).await.or_else(server_error)?;
        }
        self.deliver_parts(&mut parts, &mut answers).await?;
        Ok(answers)
    }

    async fn deliver_parts(&self, parts: &mut HashMap<u16, Part>, answers: &mut [Value]) -> RedisResult<()> {
        let parts = std::mem::take(parts);
        let answered = try_join_all(parts.values().map(|part| self.part(&part.pipeline))).await?;
        for (part, part_answers) in parts.values().zip(answered) {
            for (place, answer) in part.places.iter().zip(part_answers) {
                answers[*place] = answer;
            }
        }
        Ok(())
    }

    /// Commands of one slot. What its owner has sent elsewhere goes there one by one: the rest is done, and is not sent again.
    async fn part(&self, pipeline: &Pipeline) -> RedisResult<Vec<Value>> {
        let only_reads = pipeline.cmd_iter().all(|cmd| commands::nature(cmd) == Nature::Reads);
        let nature = if only_reads { Nature::Reads } else { Nature::Writes };
        let route = users_route(nature, pipeline.cmd_iter().find_map(some_key));
        let mut answers = match self.send(OPERATION, route, Request::Apart(pipeline)).await {
            Ok(Value::Array(answers)) => answers,
            Ok(_) => return Err(no_sense()),
            Err(error) => vec![server_error(error.into())?; pipeline.len()],
        };
        for (answer, cmd) in answers.iter_mut().zip(pipeline.cmd_iter()) {
            if is_elsewhere(answer) {
                *answer = self.users_command(cmd).await.or_else(server_error)?;
            }
        }
        Ok(answers)
    }

    /// A command that waits on the server holds up whatever shares its connection, so it gets one of its own. The time-out of
    /// commands is for everything but the time that it asks the server to wait.
    async fn on_a_connection_of_its_own(&self, cmd: &Cmd) -> RedisResult<Value> {
        self.open(OPERATION)?;
        let key = match commands::placement(cmd) {
            Placement::Key(key) => Some(key),
            _ => None,
        };
        let limit = self.0.limits.command_timeout;
        let dial = async { self.choose(users_route(Nature::Writes, key)).await?.dedicated().await };
        let mut connection = super::in_time(OPERATION, limit, dial).await?;
        let answer = connection.send_packed_command(cmd);
        let answer = match commands::longest_wait(cmd) {
            Some(wait) => {
                super::in_time(OPERATION, wait.saturating_add(limit), async { Ok(answer.await) }).await?
            }
            None => answer.await,
        };
        answer?.extract_error()
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

/// Commands of a pipeline whose keys are of one slot, and their places in it.
#[derive(Default)]
struct Part {
    pipeline: Pipeline,
    places: Vec<usize>,
}

/// The slot of all keys of the command, if it has any and they have one in common.
fn one_slot(cmd: &Cmd) -> Option<u16> {
    match commands::placement(cmd) {
        Placement::Key(key) => Some(super::slot_of(key)),
        Placement::Split { step, .. } => {
            let keys = cmd.args_iter().skip(1).step_by(step);
            let mut slots =
                keys.map(|key| if let Arg::Simple(key) = key { Some(super::slot_of(key)) } else { None });
            let first = slots.next()?;
            slots.all(|slot| slot == first).then_some(first)?
        }
        Placement::Anywhere | Placement::Everywhere(_) | Placement::OneServerOnly => None,
    }
}

/// A key of the command, if it has any.
fn some_key(cmd: &Cmd) -> Option<&[u8]> {
    match commands::placement(cmd) {
        Placement::Key(key) => Some(key),
        Placement::Split { .. } => commands::arg(cmd, 1),
        Placement::Anywhere | Placement::Everywhere(_) | Placement::OneServerOnly => None,
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
        Together::First | Together::FirstThatAnswers | Together::ByKey => {
            Ok(answers.into_iter().next().unwrap_or(Value::Nil))
        }
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

/// One answer, if there is any.
fn first_that_answers(answers: Vec<Result<Value>>) -> Result<Value> {
    let mut fault = None;
    for answer in answers {
        match answer {
            Ok(answer) => return Ok(answer),
            Err(error) => fault = Some(error),
        }
    }
    fault.map_or(Ok(Value::Nil), Err)
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

fn not_of_one_server() -> RedisError {
    (
        redis::ErrorKind::Client,
        "a cursor of `SCAN` means something on one node of a cluster alone; scan each by `Connection::client(key)`",
    )
        .into()
}

fn not_in_one_slot() -> RedisError {
    (
        redis::ErrorKind::Client,
        "the keys of a transaction must be in one slot; give them a common part in braces, as in `{user:1}:name`",
    )
        .into()
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
