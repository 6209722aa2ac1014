//! What is sent in one go, and who may answer it.

use redis::aio::MultiplexedConnection;
use redis::{Cmd, Pipeline, RedisError, RedisResult, ServerError, ServerErrorKind, Value};

use super::failure::{Health, health};
use crate::key::Key;

/// One command, or several in one write.
#[derive(Clone, Copy)]
pub(crate) enum Request<'a> {
    Command(&'a Cmd),
    /// Answered by an array: `count` of the answers, from the one numbered `offset`. Errors among them stay in place.
    Pipeline {
        pipeline: &'a Pipeline,
        offset: usize,
        count: usize,
    },
    /// The same with all answers, where none may be sent again that was done: also an answer that says that one of them
    /// belongs elsewhere stays in place, unless none was done.
    Apart(&'a Pipeline),
}

/// Which server a request goes to.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Route<'a> {
    /// The key that decides, in a cluster. Without one, any primary serves.
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) server: Server,
    pub(crate) repeat: Repeat,
}

/// What kind of server a request may go to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Server {
    /// One that knows the last invalidations, a healthy replica if there is one: for whatever may lag a little.
    Replica,
    /// The same, whatever it knows: for users' own reads.
    AnyReplica,
    /// A primary that knows the last invalidations: for whatever reads entries.
    Familiar,
    /// Any primary: for what invalidates, and for locks.
    Any,
}

/// Whether a request may be sent again when nobody knows if it ran.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Repeat {
    Safe,
    Never,
}

impl Server {
    /// The same without replicas, where they are allowed.
    pub(super) fn without_replicas(self) -> Option<Self> {
        match self {
            Self::Replica => Some(Self::Familiar),
            Self::AnyReplica => Some(Self::Any),
            Self::Familiar | Self::Any => None,
        }
    }

    /// Whether it must know the last invalidations.
    pub(super) fn must_be_familiar(self) -> bool {
        matches!(self, Self::Replica | Self::Familiar)
    }
}

impl<'a> Route<'a> {
    /// To where the key is.
    pub(crate) fn to(key: &'a Key, server: Server, repeat: Repeat) -> Self {
        Self { key: Some(key.as_bytes()), server, repeat }
    }
}

impl<'a> Request<'a> {
    /// All of a pipeline's commands and their answers.
    pub(crate) fn all(pipeline: &'a Pipeline) -> Self {
        Self::Pipeline { pipeline, offset: 0, count: pipeline.len() }
    }

    pub(super) async fn over(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::Command(cmd) => connection.send_packed_command(cmd).await.and_then(Value::extract_error),
            Self::Pipeline { pipeline, offset, count } => {
                // On the heap, or the way of single commands would be as long as that of these.
                whole(Box::pin(connection.send_packed_commands(pipeline, offset, count)).await?)
            }
            Self::Apart(pipeline) => {
                served(Box::pin(connection.send_packed_commands(pipeline, 0, pipeline.len())).await?)
            }
        }
    }

    /// The same over REST.
    #[cfg(feature = "upstash")]
    pub(super) async fn over_rest(self, rest: &super::rest::Rest) -> RedisResult<Value> {
        match self {
            Self::Command(cmd) => rest.command(cmd).await,
            Self::Pipeline { pipeline, .. } if pipeline.is_transaction() => {
                // What `EXEC` would answer, which is the one answer that is asked for.
                Ok(Value::Array(vec![Value::Array(rest.pipeline(pipeline).await?)]))
            }
            Self::Pipeline { pipeline, .. } | Self::Apart(pipeline) => whole(rest.pipeline(pipeline).await?),
        }
    }

    /// The same, let in by a server that is still importing the keys' slot.
    pub(super) async fn asking(self, connection: &mut MultiplexedConnection) -> RedisResult<Value> {
        match self {
            Self::Command(cmd) => {
                let mut pipeline = Pipeline::with_capacity(2);
                pipeline.cmd("ASKING").add_command(cmd.clone());
                let mut answers = connection.send_packed_commands(&pipeline, 1, 1).await?;
                answers.pop().unwrap_or(Value::Nil).extract_error()
            }
            // `ASKING` before `MULTI` holds for the whole transaction's keys only where the server says so: it does not.
            Self::Pipeline { pipeline, .. } if pipeline.is_transaction() => self.over(connection).await,
            Self::Pipeline { pipeline: commands, .. } | Self::Apart(commands) => {
                let mut pipeline = Pipeline::with_capacity(2 * commands.len());
                for cmd in commands.cmd_iter() {
                    pipeline.cmd("ASKING").add_command(cmd.clone());
                }
                let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await?;
                let answers = answers.into_iter().skip(1).step_by(2).collect();
                if matches!(self, Self::Apart(_)) { served(answers) } else { whole(answers) }
            }
        }
    }
}

/// The answers of a pipeline; as one error where the server has sent it elsewhere, or has done none of it.
fn whole(answers: Vec<Value>) -> RedisResult<Value> {
    // The keys of a pipeline in a cluster are of one slot, and what we send in one is safe to repeat.
    if let Some(error) = answers.iter().find(|answer| is_elsewhere(answer)).and_then(error) {
        return Err(error.into());
    }
    served(answers)
}

/// Whether the server has not done it, and says who may.
pub(super) fn is_elsewhere(answer: &Value) -> bool {
    error(answer).is_some_and(|error| {
        matches!(
            error.kind(),
            Some(ServerErrorKind::Moved | ServerErrorKind::Ask | ServerErrorKind::TryAgain)
        )
    })
}

fn error(answer: &Value) -> Option<ServerError> {
    match answer {
        Value::ServerError(error) => Some(error.clone()),
        _ => None,
    }
}

/// The answers of a pipeline; as one error where the server has done none of it.
fn served(answers: Vec<Value>) -> RedisResult<Value> {
    let unserved =
        |answer: &Value| error(answer).is_some_and(|error| health(&error.into()) != Health::Serves);
    if !answers.is_empty() && answers.iter().all(unserved) {
        return Err(answers.iter().find_map(error).map_or_else(unreachable_error, RedisError::from));
    }
    Ok(Value::Array(answers))
}

fn unreachable_error() -> RedisError {
    (redis::ErrorKind::UnexpectedReturnType, "a pipeline without answers").into()
}
