//! The Lua scripts, one file each, with what each promises.

mod call;
mod locks;
mod quorum;

pub(crate) use call::{Call, Numbers};
pub(crate) use locks::LockScripts;
pub(crate) use quorum::QuorumScripts;

use redis::{Cmd, Script, Value};

use crate::connection::{Connection, Repeat, Route, Server};
use crate::error::{Error, Result};
use crate::key::Key;

/// A script and its SHA-1.
#[derive(Debug)]
pub(crate) struct Lua {
    source: &'static str,
    sha: String,
}

/// All scripts of this crate.
#[derive(Debug)]
pub(crate) struct Scripts {
    /// Sets a key only while it begins with what was expected.
    pub(crate) replace: Lua,
    /// Sets a slot unless it is held.
    pub(crate) put: Lua,
    /// Removes keys unless they are held.
    pub(crate) invalidate: Lua,
    /// Holds keys; tells which were held before.
    pub(crate) hold: Lua,
    /// Reads a stamp, made where it is missing, on servers that have no command for it.
    pub(crate) capture: Lua,
    /// Prolongs a key only while it holds exactly what was expected.
    pub(crate) extend: Lua,
    /// Prolongs a slot only while it begins with what was expected, and only by a worthwhile step.
    pub(crate) slide: Lua,
    /// Removes a key only while it holds exactly what was expected.
    pub(crate) release: Lua,
}

impl Scripts {
    pub(crate) fn new() -> Self {
        Self {
            replace: Lua::new(include_str!("replace.lua")),
            put: Lua::new(include_str!("put.lua")),
            invalidate: Lua::new(include_str!("invalidate.lua")),
            hold: Lua::new(include_str!("hold.lua")),
            capture: Lua::new(include_str!("capture.lua")),
            extend: Lua::new(include_str!("extend.lua")),
            slide: Lua::new(include_str!("slide.lua")),
            release: Lua::new(include_str!("release.lua")),
        }
    }
}

impl Lua {
    pub(crate) fn new(source: &'static str) -> Self {
        Self { source, sha: Script::new(source).get_hash().to_owned() }
    }

    /// Runs it where its first key is: by its hash, once more by its source if the server does not know it.
    pub(crate) async fn run(
        &self,
        connection: &Connection,
        operation: &'static str,
        repeat: Repeat,
        keys: &[&Key],
        args: &[&[u8]],
    ) -> Result<Value> {
        let route = Route { key: keys.first().map(|key| key.as_bytes()), server: Server::Any, repeat };
        match connection.command(operation, route, &self.by_hash(keys, args)).await {
            Err(error) if is_unknown(&error) => {
                let answer = connection.command(operation, route, &self.by_source(keys, args)).await;
                answer.map_err(Error::after_another)
            }
            answer => answer,
        }
    }

    /// The call by hash: what is sent first.
    pub(crate) fn by_hash(&self, keys: &[&Key], args: &[&[u8]]) -> Cmd {
        Self::call("EVALSHA", &self.sha, keys, args)
    }

    /// The call by source: what is sent when the server does not know the hash, which it then does.
    pub(crate) fn by_source(&self, keys: &[&Key], args: &[&[u8]]) -> Cmd {
        Self::call("EVAL", self.source, keys, args)
    }

    fn call(command: &str, script: &str, keys: &[&Key], args: &[&[u8]]) -> Cmd {
        let bytes: usize = keys.iter().map(|key| key.as_bytes().len()).sum::<usize>()
            + args.iter().map(|arg| arg.len()).sum::<usize>();
        // In one piece: a call is made for every fill.
        let mut cmd =
            Cmd::with_capacity(3 + keys.len() + args.len(), command.len() + script.len() + bytes + 8);
        cmd.arg(command).arg(script).arg(keys.len());
        for key in keys {
            cmd.arg(key.as_bytes());
        }
        for arg in args {
            cmd.arg(*arg);
        }
        cmd
    }
}

/// Whether the server does not know the script by its hash.
fn is_unknown(error: &Error) -> bool {
    error.has_code("NOSCRIPT")
}
