//! Scripts of others than slots: locks of every kind, and latches. Each is given by its owner, and answers in whole numbers.

use redis::{Pipeline, Value};
use smallvec::SmallVec;

use super::RedisStore;
use super::answer::{is_code, unexpected, wire};
use crate::connection::{Repeat, Route, Server};
use crate::error::Result;
use crate::key::Key;
use crate::script::Lua;

/// A script and what it is given.
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
pub(crate) type Answer = SmallVec<[i64; 4]>;

impl RedisStore {
    /// Runs the script by its hash, and once more by its source if the server does not know it.
    pub(crate) async fn run(&self, call: Call<'_>) -> Result<Answer> {
        let args: SmallVec<[_; 6]> = call.args.iter().map(|arg| wire(&self.connection, arg)).collect();
        let args: SmallVec<[&[u8]; 6]> = args.iter().map(|arg| &**arg).collect();
        let answer = match self.send_call(call, &call.lua.by_hash(call.keys, &args)).await {
            Err(error) if is_code(&error, "NOSCRIPT") => {
                self.send_call(call, &call.lua.by_source(call.keys, &args)).await?
            }
            answer => answer?,
        };
        numbers(call.operation, answer)
    }

    async fn send_call(&self, call: Call<'_>, cmd: &redis::Cmd) -> Result<Value> {
        let key = call.keys.first().map(|key| key.as_bytes());
        let route = Route { key, server: Server::Any, repeat: call.repeat };
        if !call.watch || !self.connection.is_tracking() {
            return self.connection.command(call.operation, route, cmd).await;
        }
        // The opt-in holds for the next command of the connection, and for all keys of a script that reads any.
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
        pipeline.add_command(cmd.clone());
        let answers = self.connection.pipeline(call.operation, route, &pipeline).await?;
        Ok(answers.into_iter().next_back().unwrap_or(Value::Nil))
    }
}

fn numbers(operation: &'static str, answer: Value) -> Result<Answer> {
    let Value::Array(values) = answer else { return Err(unexpected(operation, &answer)) };
    let number = |value| match value {
        Value::Int(number) => Ok(number),
        other => Err(unexpected(operation, &other)),
    };
    values.into_iter().map(number).collect()
}
