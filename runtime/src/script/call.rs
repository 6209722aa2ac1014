//! Scripts of latches and of several locks at once. Each is given by its owner, and answers in whole numbers.

use redis::{Pipeline, Value};
use smallvec::SmallVec;

use super::{Lua, is_unknown};
use crate::connection::{Connection, Repeat, Route, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;

/// A script and what it is given, all of it printable.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Call<'a> {
    pub(crate) operation: &'static str,
    pub(crate) lua: &'a Lua,
    /// All in one slot of a cluster.
    pub(crate) keys: &'a [&'a Key],
    pub(crate) args: &'a [&'a [u8]],
    /// Whether the script may run twice.
    pub(crate) repeat: Repeat,
    /// Whether later changes of the keys are to be told, where the server can.
    pub(crate) watch: bool,
}

/// Whole numbers: the scripts say what each stands for.
pub(crate) type Numbers = SmallVec<[i64; 4]>;

impl Call<'_> {
    /// Runs the script by its hash, and once more by its source if the server does not know it.
    pub(crate) async fn run(self, connection: &Connection) -> Result<Numbers> {
        let answer = match self.send(connection, &self.lua.by_hash(self.keys, self.args)).await {
            Err(error) if is_unknown(&error) => {
                let answer = self.send(connection, &self.lua.by_source(self.keys, self.args)).await;
                answer.map_err(Error::after_another)?
            }
            answer => answer?,
        };
        let malformed = || Error::new(ErrorKind::Protocol, self.operation);
        let Value::Array(values) = answer else { return Err(malformed()) };
        let number = |value| match value {
            Value::Int(number) => Ok(number),
            _ => Err(malformed()),
        };
        values.into_iter().map(number).collect()
    }

    async fn send(self, connection: &Connection, cmd: &redis::Cmd) -> Result<Value> {
        let key = self.keys.first().map(|key| key.as_bytes());
        let route = Route { key, server: Server::Any, repeat: self.repeat };
        if !self.watch || !connection.is_tracking() {
            return connection.command(self.operation, route, cmd).await;
        }
        // The opt-in holds for the next command of the connection, and for all keys of a script that reads any.
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
        pipeline.add_command(cmd.clone());
        let answers = connection.pipeline(self.operation, route, &pipeline).await?;
        Ok(answers.into_iter().next_back().unwrap_or(Value::Nil))
    }
}
