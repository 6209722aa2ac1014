//! Commands that travel together, each on its own behalf: those of who asks at the same time, in one pipeline.

use std::fmt;
use std::sync::{Arc, Weak};

use redis::{Cmd, Pipeline, Value};

use super::{Gatherer, Sends};
use crate::clock::Instant;
use crate::connection::{Connection, Repeat, Request, Route, Server, accepted, unexpected};
use crate::error::Result;

/// Commands of one pipeline at most.
const MOST_COMMANDS: usize = 256;

/// Sends commands of one kind to one server.
#[derive(Debug)]
pub(crate) struct Together(Gatherer<Commands>);

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

impl Together {
    pub(crate) fn new(connection: &Connection, operation: &'static str, server: Server) -> Self {
        Self(Gatherer::new(Commands { connection: connection.clone(), operation, server }))
    }

    /// Sends it at once or together with others. It is not repeated.
    pub(crate) async fn send(&self, cmd: Cmd) -> Result<Value> {
        let Self(gatherer) = self;
        let waits = Arc::new(());
        let answered = gatherer.hand_in(Wanted { cmd, by: Arc::downgrade(&waits) }).await?;
        match answered.answers() {
            Ok(values) => accepted(gatherer.sends().operation, values[answered.place].clone()),
            Err(error) => Err(error.clone()),
        }
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
