//! Claims and fills that travel together: those of callers who load at the same time, each in one pipeline.
//!
//! Each stands for itself, and is answered for itself. Large values travel alone, for all of a pipeline must be written before
//! any of it is answered.

use std::fmt;
use std::sync::{Arc, Weak};

use redis::{Cmd, Pipeline, Value};

use super::answer::{accepted, unexpected};
use super::gather::{Gatherer, Sends};
use crate::clock::Instant;
use crate::connection::{Connection, Repeat, Request, Route, Server};
use crate::error::Result;

/// Commands of one pipeline at most.
const MOST_COMMANDS: usize = 256;
/// Bytes of a value above which it travels alone.
const LARGE: usize = 8 << 10;

/// Sends writes of single slots to one server.
#[derive(Debug)]
pub(super) struct Writes {
    claims: Gatherer<Commands>,
    fills: Gatherer<Commands>,
    merges: bool,
}

/// See [`Sends`].
struct Commands {
    connection: Connection,
    operation: &'static str,
    server: Server,
}

/// A command, and whether somebody still waits for it: what was given up is not sent, for nobody would undo it in time.
struct Wanted {
    cmd: Cmd,
    by: Weak<()>,
}

impl Writes {
    pub(super) fn new(connection: &Connection) -> Self {
        #[cfg(feature = "upstash")]
        let is_text = connection.is_text();
        #[cfg(not(feature = "upstash"))]
        let is_text = false;
        let merges = connection.limits().merge_reads && !connection.is_cluster() && !is_text;
        let gatherer =
            |operation, server| Gatherer::new(Commands { connection: connection.clone(), operation, server });
        Self { claims: gatherer("claim", Server::Familiar), fills: gatherer("fill", Server::Any), merges }
    }

    /// Sends the claim of a slot, with others or by itself.
    pub(super) async fn claim(&self, cmd: Cmd, route: Route<'_>) -> Result<Value> {
        if self.merges {
            return send(&self.claims, cmd).await;
        }
        self.claims.sends().connection.command("claim", route, &cmd).await
    }

    /// Whether a fill of so many bytes travels with others.
    pub(super) fn merges_fill(&self, bytes: usize) -> bool {
        self.merges && bytes <= LARGE
    }

    /// Sends such a fill.
    pub(super) async fn fill(&self, cmd: Cmd) -> Result<Value> {
        send(&self.fills, cmd).await
    }
}

async fn send(gatherer: &Gatherer<Commands>, cmd: Cmd) -> Result<Value> {
    let waits = Arc::new(());
    let answered = gatherer.hand_in(Wanted { cmd, by: Arc::downgrade(&waits) }).await?;
    let operation = gatherer.sends().operation;
    match answered.answers() {
        Ok(values) => accepted(operation, values[answered.place].clone()),
        Err(error) => Err(error.clone()),
    }
}

impl Sends for Commands {
    type Request = Wanted;
    type Answers = Result<Vec<Value>>;

    fn most(&self) -> usize {
        MOST_COMMANDS
    }

    async fn send(&self, batch: Vec<Wanted>, _since: Instant) -> Result<Vec<Value>> {
        let route = Route { key: None, server: self.server, repeat: Repeat::Never };
        let mut answers = vec![Value::Nil; batch.len()];
        let (mut places, mut pipeline) =
            (Vec::with_capacity(batch.len()), Pipeline::with_capacity(batch.len()));
        for (place, Wanted { cmd, by }) in batch.into_iter().enumerate() {
            if by.strong_count() > 0 {
                places.push(place);
                pipeline.add_command(cmd);
            }
        }
        if places.is_empty() {
            return Ok(answers);
        }
        if let (&[place], Some(only)) = (&*places, pipeline.cmd_iter().next()) {
            answers[place] = self.connection.command(self.operation, route, only).await?;
            return Ok(answers);
        }
        match self.connection.send(self.operation, route, Request::Apart(&pipeline)).await? {
            Value::Array(values) if values.len() == places.len() => {
                for (place, value) in places.into_iter().zip(values) {
                    answers[place] = value;
                }
                Ok(answers)
            }
            other => Err(unexpected(self.operation, &other)),
        }
    }
}

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Commands").field("operation", &self.operation).finish_non_exhaustive()
    }
}
