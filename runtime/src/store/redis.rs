//! The protocol on a Redis server.

use std::collections::HashSet;
use std::time::Duration;

use bytes::Bytes;
use redis::{Cmd, Pipeline, Value};

use super::merge::Merger;
use super::slot::{StampState, new_stamp};
use super::{Claim, ClaimRequest, Guarded, Overlap, StampStates, Store, Values, Wake};
use crate::connection::{Connection, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{FullPattern, Key, entry_of, stamp_of};
use crate::script::{Lua, Scripts};

/// How many keys one step of a scan looks at: a step takes well under a millisecond.
const SCAN_COUNT: usize = 500;

/// See the module.
#[derive(Debug)]
pub(crate) struct RedisStore {
    connection: Connection,
    reads: Merger,
    scripts: Scripts,
}

impl RedisStore {
    pub(crate) fn new(connection: Connection) -> Self {
        Self { reads: Merger::new(connection.clone()), connection, scripts: Scripts::new() }
    }

    pub(crate) fn unfamiliar(&self) -> Option<u64> {
        self.connection.unfamiliar()
    }

    pub(crate) fn familiar(&self, generation: u64) {
        self.connection.familiar(generation);
    }

    async fn run(&self, operation: &'static str, cmd: &Cmd) -> Result<Value> {
        self.connection.command(operation, Server::Any, cmd).await
    }

    /// Claims a slot that is empty: in one command where no stamp is asked for, else in one pipeline.
    async fn claim_empty(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        let mut set = redis::cmd("SET");
        set.arg(claim.slot.as_bytes()).arg(claim.lease.as_bytes());
        set.arg("NX").arg("PX").arg(millis(claim.lease_life));
        let (won, states) = if claim.stamps.is_empty() {
            (
                self.connection.command("claim", Server::Familiar, &set).await? == Value::Okay,
                StampStates::new(),
            )
        } else {
            let mut pipeline = Pipeline::with_capacity(2 * claim.stamps.len() + 1);
            let fresh = add_captures(&mut pipeline, claim.stamps, claim.stamp_life);
            pipeline.add_command(set);
            let mut answers = self.connection.pipeline("claim", Server::Familiar, &pipeline).await?;
            (answers.pop() == Some(Value::Okay), captured("claim", answers, &fresh)?)
        };
        Ok(if won { Claim::Won(states) } else { Claim::Lost })
    }

    /// A script by its hash, once more by its source if the server does not know it.
    async fn script(
        &self,
        operation: &'static str,
        lua: &Lua,
        keys: &[&Key],
        args: &[&[u8]],
    ) -> Result<Value> {
        match self.run(operation, &lua.by_hash(keys, args)).await {
            Err(error) if is_noscript(&error) => self.run(operation, &lua.by_source(keys, args)).await,
            answer => answer,
        }
    }

    /// A script that changes one key on a condition.
    async fn guarded(
        &self,
        operation: &'static str,
        lua: &Lua,
        key: &Key,
        args: &[&[u8]],
    ) -> Result<Guarded> {
        match self.script(operation, lua, &[key], args).await? {
            Value::Int(1) => Ok(Guarded::Applied),
            Value::Int(0) => Ok(Guarded::Refused),
            other => Err(unexpected(operation, &other)),
        }
    }
}

impl Store for RedisStore {
    async fn read(&self, keys: &[&Key]) -> Result<Values> {
        self.reads.read(keys).await
    }

    async fn read_watched(&self, keys: &[&Key], _wake: &Wake) -> Result<Values> {
        if !self.connection.is_tracking() {
            return self.read(keys).await;
        }
        // The opt-in holds for the next command of the connection, so both travel in one pipeline.
        let mut pipeline = Pipeline::with_capacity(2);
        pipeline.cmd("CLIENT").arg("CACHING").arg("YES").ignore();
        pipeline.add_command(mget(keys));
        let mut answers = self.connection.pipeline("read and watch", Server::Familiar, &pipeline).await?;
        match answers.pop() {
            Some(Value::Array(values)) if values.len() == keys.len() => {
                values.into_iter().map(|value| bulk("read and watch", value)).collect()
            }
            other => Err(unexpected("read and watch", &other.unwrap_or(Value::Nil))),
        }
    }

    fn wake(&self, key: &Key) -> Wake {
        self.connection.wakeups().wake(key)
    }

    async fn claim(&self, claim: ClaimRequest<'_>) -> Result<Claim> {
        let ClaimRequest { slot, over, lease, lease_life, stamps, stamp_life } = claim;
        let Some(over) = over else { return self.claim_empty(claim).await };
        let states = self.capture(stamps, stamp_life).await?;
        Ok(match self.replace(slot, over, lease.as_bytes(), lease_life).await? {
            Guarded::Applied => Claim::Won(states),
            Guarded::Refused => Claim::Lost,
        })
    }

    async fn capture(&self, stamps: &[&Key], life: Duration) -> Result<StampStates> {
        if stamps.is_empty() {
            return Ok(StampStates::new());
        }
        let mut pipeline = Pipeline::with_capacity(2 * stamps.len());
        let fresh = add_captures(&mut pipeline, stamps, life);
        let answers = self.connection.pipeline("capture stamps", Server::Familiar, &pipeline).await?;
        captured("capture stamps", answers, &fresh)
    }

    async fn replace(&self, slot: &Key, expected: &[u8], value: &[u8], life: Duration) -> Result<Guarded> {
        let life = millis(life).to_string();
        self.guarded("fill", &self.scripts.replace, slot, &[expected, value, life.as_bytes()]).await
    }

    async fn put(&self, slot: &Key, value: &[u8], life: Duration) -> Result<Guarded> {
        let life = millis(life).to_string();
        self.guarded("put", &self.scripts.put, slot, &[value, life.as_bytes()]).await
    }

    async fn extend(&self, key: &Key, expected: &[u8], life: Duration) -> Result<Guarded> {
        let life = millis(life).to_string();
        self.guarded("extend", &self.scripts.extend, key, &[expected, life.as_bytes()]).await
    }

    async fn release(&self, key: &Key, expected: &[u8]) -> Result<Guarded> {
        self.guarded("release", &self.scripts.release, key, &[expected]).await
    }

    async fn invalidate(&self, keys: &[&Key]) -> Result<()> {
        if keys.is_empty() {
            return Ok(());
        }
        self.script("invalidate", &self.scripts.invalidate, keys, &[]).await.map(drop)
    }

    async fn hold(&self, keys: &[&Key], hold: &[u8], life: Duration) -> Result<Vec<Overlap>> {
        if keys.is_empty() {
            return Ok(Vec::new());
        }
        let life = millis(life).to_string();
        match self.script("hold", &self.scripts.hold, keys, &[hold, life.as_bytes()]).await? {
            Value::Array(overlaps) if overlaps.len() == keys.len() => Ok(overlaps
                .into_iter()
                .map(|held| if held == Value::Int(0) { Overlap::First } else { Overlap::Overlapping })
                .collect()),
            other => Err(unexpected("hold", &other)),
        }
    }

    async fn invalidate_matching(&self, pattern: &FullPattern) -> Result<u64> {
        let mut glob = pattern.literal_prefix().to_vec();
        glob.push(b'*');
        let mut found = 0;
        let mut cursor = b"0".to_vec();
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(&cursor).arg("MATCH").arg(&glob).arg("COUNT").arg(SCAN_COUNT);
            let (next, keys) = scanned(self.run("scan", &scan).await?)?;
            // An entry and its stamp may be found in different steps, and must go together, the entry first.
            let entries: HashSet<Key> = keys
                .iter()
                .map(|key| entry_of(key))
                .filter(|entry| pattern.matches(entry))
                .map(|entry| Key(entry.into()))
                .collect();
            let stamps: Vec<Key> = entries.iter().map(stamp_of).collect();
            let pairs: Vec<&Key> =
                entries.iter().zip(&stamps).flat_map(|(entry, stamp)| [entry, stamp]).collect();
            self.invalidate(&pairs).await?;
            found += entries.len() as u64;
            if next == b"0" {
                return Ok(found);
            }
            cursor = next;
        }
    }

    async fn time_to_live(&self, key: &Key) -> Result<Option<Duration>> {
        let mut pttl = redis::cmd("PTTL");
        pttl.arg(key.as_bytes());
        match self.run("read the time to live", &pttl).await? {
            Value::Int(left) => Ok(u64::try_from(left).ok().map(Duration::from_millis)),
            other => Err(unexpected("read the time to live", &other)),
        }
    }

    async fn lock(&self, key: &Key, token: &[u8], life: Duration, wake: Option<&Wake>) -> Result<Guarded> {
        let mut set = redis::cmd("SET");
        set.arg(key.as_bytes()).arg(token).arg("NX").arg("PX").arg(millis(life));
        let answer = if wake.is_some() && self.connection.is_tracking() {
            // Reading the key is what makes the server tell of its changes.
            let mut pipeline = Pipeline::with_capacity(3);
            pipeline.cmd("CLIENT").arg("CACHING").arg("YES");
            pipeline.cmd("GET").arg(key.as_bytes());
            pipeline.add_command(set);
            self.connection.pipeline("lock", Server::Any, &pipeline).await?.pop().unwrap_or(Value::Nil)
        } else {
            self.run("lock", &set).await?
        };
        match answer {
            Value::Okay => Ok(Guarded::Applied),
            Value::Nil => Ok(Guarded::Refused),
            other => Err(unexpected("lock", &other)),
        }
    }

    async fn extend_lock(&self, key: &Key, token: &[u8], life: Duration) -> Result<Guarded> {
        self.extend(key, token, life).await
    }

    async fn unlock(&self, key: &Key, token: &[u8]) -> Result<Guarded> {
        self.release(key, token).await
    }
}

pub(super) fn mget(keys: &[&Key]) -> Cmd {
    let mut cmd = redis::cmd("MGET");
    for key in keys {
        cmd.arg(key.as_bytes());
    }
    cmd
}

/// For each stamp: create it where it is missing and read it, then push its life forward. `GT` never shortens a life; a
/// server that does not know it (before 7.0) leaves the stamp to expire, which is a miss.
fn add_captures(pipeline: &mut Pipeline, stamps: &[&Key], life: Duration) -> Vec<[u8; 9]> {
    let life = millis(life);
    let mut fresh = Vec::with_capacity(stamps.len());
    for stamp in stamps {
        let new = new_stamp();
        pipeline.cmd("SET").arg(stamp.as_bytes()).arg(&new).arg("NX").arg("GET").arg("PX").arg(life);
        pipeline.cmd("PEXPIRE").arg(stamp.as_bytes()).arg(life).arg("GT");
        fresh.push(new);
    }
    fresh
}

/// `SET .. NX GET` answers what was there, or nothing when ours is there now.
fn captured(operation: &'static str, answers: Vec<Value>, fresh: &[[u8; 9]]) -> Result<StampStates> {
    let mut states = StampStates::new();
    for (answer, new) in answers.into_iter().step_by(2).zip(fresh) {
        let there = bulk(operation, answer)?;
        let bytes = there.as_deref().unwrap_or(new);
        let state = StampState::of(Some(bytes)).ok_or_else(|| {
            Error::new(ErrorKind::Protocol, operation)
                .remedy("a stamp's key holds something else: is the namespace shared?")
        })?;
        states.push(state);
    }
    Ok(states)
}

fn scanned(answer: Value) -> Result<(Vec<u8>, Vec<Vec<u8>>)> {
    redis::from_redis_value(answer).map_err(|error| Error::new(ErrorKind::Protocol, "scan").because(error))
}

pub(super) fn bulk(operation: &'static str, value: Value) -> Result<Option<Bytes>> {
    match value {
        Value::Nil => Ok(None),
        Value::BulkString(bytes) => Ok(Some(Bytes::from(bytes))),
        other => Err(unexpected(operation, &other)),
    }
}

/// Names the type of the answer only: the answer itself may be a value.
pub(super) fn unexpected(operation: &'static str, value: &Value) -> Error {
    let kind = match value {
        Value::Nil => "nothing",
        Value::Int(_) => "an integer",
        Value::BulkString(_) | Value::SimpleString(_) | Value::Okay => "a string",
        Value::Array(_) => "an array of another length",
        Value::ServerError(_) => "an error",
        _ => "another type",
    };
    Error::new(ErrorKind::Protocol, operation).with("answer", kind)
}

fn is_noscript(error: &Error) -> bool {
    error.kind() == ErrorKind::Refused
        && error.context().any(|(name, value)| name == "code" && value == "NOSCRIPT")
}

/// Redis refuses a life of 0 ms.
fn millis(life: Duration) -> u64 {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 4)
}
