//! A Redis server as one of several lock masters: one script a request, or for a lock that may be free plain commands.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use redis::{Pipeline, Value};

use super::master::{Acquired, Ask, Extended, Ledger, Look, Master, Owned, RunId, Token};
use crate::connection::{Connection, Repeat, Request, Route, Server, Together};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, Namespace, counter_of, shared_of, wanted_of};
use crate::lock::refusals::Refusals;
use crate::lock::sharing::Sharing;
use crate::script::QuorumScripts;

/// See the module.
#[derive(Debug)]
pub(crate) struct RedisNode {
    connection: Connection,
    name: String,
    ledger: Key,
    scripts: Arc<QuorumScripts>,
    refusals: Refusals,
    /// Locks are due about the same time: their extensions are one pipeline.
    extensions: Together,
}

/// How long the counter of a lock outlives its last use. The ledger remembers what it may have counted to.
const COUNTER_LIFE: Duration = Duration::from_secs(24 * 60 * 60);

impl RedisNode {
    /// One node for each connection.
    pub(crate) fn all(connections: &[Connection], namespace: &Namespace) -> Vec<Self> {
        let scripts = Arc::new(QuorumScripts::new());
        let ledger = Key([namespace.as_str().as_bytes(), b"#ledger"].concat().into());
        let node = |connection: &Connection| Self {
            connection: connection.clone(),
            name: connection.server_name(),
            ledger: ledger.clone(),
            scripts: Arc::clone(&scripts),
            refusals: Refusals::default(),
            extensions: Together::new(connection, "extend", Server::Any),
        };
        connections.iter().map(node).collect()
    }
}

/// The keys of one lock on a master.
struct Keys<'a> {
    lock: &'a Key,
    ledger: &'a Key,
    counter: Key,
    /// The mark of those who want it alone, and those who share it.
    wanted: Key,
    shared: Key,
}

impl Keys<'_> {
    fn each(&self) -> [&Key; 5] {
        [self.lock, self.ledger, &self.counter, &self.wanted, &self.shared]
    }
}

fn is_shared(ask: &Ask) -> bool {
    ask.sharing == Sharing::Shared
}

impl RedisNode {
    fn keys<'a>(&'a self, ask: &'a Ask) -> Keys<'a> {
        Keys {
            lock: &ask.key,
            ledger: &self.ledger,
            counter: counter_of(&ask.key),
            wanted: wanted_of(&ask.key),
            shared: shared_of(&ask.key),
        }
    }
}

impl RedisNode {
    /// Takes the lock if it is free, at half of what a script costs: reads the ledger and sets the key, in that order.
    ///
    /// A master without a ledger may have been set all the same, and so may one whose ledger has yet to learn of so long a life:
    /// both are left to the script, which finds what is ours already. `None`: the script is to be asked.
    async fn acquire_free(&self, ask: &Ask) -> Result<Option<Acquired>> {
        let mut commands = Pipeline::with_capacity(2);
        commands.cmd("HMGET").arg(self.ledger.as_bytes()).arg("run").arg("longest");
        let set = commands.cmd("SET").arg(ask.key.as_bytes()).arg(&ask.value.bytes());
        set.arg("NX").arg("PX").arg(millis(ask.ttl));
        let route = Route::to(&ask.key, Server::Any, Repeat::Never);
        let answer = self.connection.send("lock", route, Request::all(&commands)).await?;
        match parts(&answer) {
            [ledger, Value::Okay] => Ok(match parts(ledger) {
                [run, longest] if is_as_long(longest, ask.ttl) => {
                    text(run).map(|admitted| Acquired::Granted { counter: 0, admitted })
                }
                _ => None,
            }),
            [_, Value::Nil] => {
                self.refusals.note();
                Ok(None)
            }
            _ => Err(senseless("lock")),
        }
    }

    async fn acquire_or_look(&self, ask: &Ask, proposal: Token) -> Result<Acquired> {
        let (ttl, proposal) = (millis(ask.ttl), decimal(proposal));
        let (tokens, life) = (decimal(ask.tokens), millis(COUNTER_LIFE));
        let keys = self.keys(ask);
        let args =
            [&ask.value.bytes()[..], ttl.as_bytes(), proposal.as_bytes(), tokens.as_bytes(), life.as_bytes()];
        let script = if is_shared(ask) { &self.scripts.shared.acquire } else { &self.scripts.acquire };
        // Not repeated: a refusal must mean that nothing of ours is on its way any more.
        let answer = script.run(&self.connection, "lock", Repeat::Never, &keys.each(), &args).await?;
        match parts(&answer) {
            [Value::Int(1), Value::Int(counter), run] => match text(run) {
                Some(admitted) => Ok(Acquired::Granted { counter: unsigned(*counter), admitted }),
                None => Err(senseless("lock")),
            },
            [Value::Int(0), Value::Int(left)] => {
                self.refusals.note();
                Ok(Acquired::Held { left: Duration::from_millis(unsigned(*left)) })
            }
            [Value::Int(-1)] => Ok(Acquired::Unlisted),
            _ => Err(senseless("lock")),
        }
    }
}

/// Whether a ledger knows of lives that long.
fn is_as_long(longest: &Value, ttl: Duration) -> bool {
    text(longest)
        .and_then(|longest| longest.parse().ok())
        .is_some_and(|longest| ttl <= Duration::from_millis(longest))
}

impl Master for RedisNode {
    fn name(&self) -> &str {
        &self.name
    }

    fn is_run(&self, run: &RunId) -> bool {
        self.connection.is_run(run)
    }

    async fn acquire(&self, ask: &Ask, proposal: Token) -> Result<Acquired> {
        let is_plain = ask.sharing == Sharing::Alone && ask.tokens == 0;
        if !is_plain || self.refusals.are_recent() {
            return self.acquire_or_look(ask, proposal).await;
        }
        if let Some(acquired) = self.acquire_free(ask).await? {
            return Ok(acquired);
        }
        let acquired = self.acquire_or_look(ask, proposal).await?;
        if acquired == Acquired::Unlisted {
            // The key may have been set all the same.
            self.release(ask).await?;
        }
        Ok(acquired)
    }

    async fn extend(&self, ask: &Ask, token: Token) -> Result<Extended> {
        let (ttl, token, life) = (millis(ask.ttl), decimal(token), millis(COUNTER_LIFE));
        let keys = self.keys(ask);
        let args = [&ask.value.bytes()[..], ttl.as_bytes(), token.as_bytes(), life.as_bytes()];
        let script = if is_shared(ask) { &self.scripts.shared.extend } else { &self.scripts.extend };
        let answer = match self.extensions.send(script.by_hash(&keys.each(), &args)).await {
            // Once after a restart of the server; by its source, the script becomes known.
            Err(error) if error.has_code("NOSCRIPT") => {
                script.run(&self.connection, "extend", Repeat::Never, &keys.each(), &args).await
            }
            answer => answer,
        };
        match parts(&answer?) {
            [Value::Int(1), Value::Int(left)] => {
                Ok(Extended::Kept { left: Duration::from_millis(unsigned(*left)) })
            }
            [Value::Int(2)] => Ok(Extended::Repaired),
            [Value::Int(0)] => Ok(Extended::Held),
            _ => Err(senseless("extend")),
        }
    }

    async fn raise(&self, ask: &Ask, token: Token) -> Result<Owned> {
        let (token, life) = (decimal(token), millis(COUNTER_LIFE));
        let keys = self.keys(ask);
        let args = [&ask.value.bytes()[..], token.as_bytes(), life.as_bytes()];
        let script = if is_shared(ask) { &self.scripts.shared.raise } else { &self.scripts.raise };
        owned("raise", &script.run(&self.connection, "raise", Repeat::Safe, &keys.each(), &args).await?)
    }

    async fn release(&self, ask: &Ask) -> Result<Owned> {
        let args = [&ask.value.bytes()[..]];
        let answer = if is_shared(ask) {
            let (script, keys) = (&self.scripts.shared.release, self.keys(ask));
            script.run(&self.connection, "unlock", Repeat::Safe, &keys.each(), &args).await
        } else {
            self.scripts.release.run(&self.connection, "unlock", Repeat::Safe, &[&ask.key], &args).await
        };
        owned("unlock", &answer?)
    }

    async fn look(&self) -> Result<Look> {
        let script = &self.scripts.look;
        let answer =
            script.run(&self.connection, "read the ledger", Repeat::Safe, &[&self.ledger], &[]).await?;
        read_look(parts(&answer)).ok_or_else(|| {
            senseless("read the ledger")
                .remedy("lock masters must tell their run id: allow `INFO` and scripts")
        })
    }

    async fn admit(&self, ledger: &Ledger, over: Option<&RunId>) -> Result<Owned> {
        let (high, longest) = (decimal(ledger.high), millis(ledger.longest));
        let over = over.map_or(&b""[..], |run| run.as_bytes());
        let args = [ledger.run.as_bytes(), over, high.as_bytes(), longest.as_bytes()];
        let script = &self.scripts.admit;
        let keys = [&self.ledger];
        owned("admit", &script.run(&self.connection, "write the ledger", Repeat::Never, &keys, &args).await?)
    }
}

fn read_look(parts: &[Value]) -> Option<Look> {
    let [run, uptime, ledger @ ..] = parts else { return None };
    let number = |value: &Value| text(value)?.parse::<u64>().ok();
    // Seconds that have begun: what is told may be one more than has passed.
    let uptime = Duration::from_secs(number(uptime)?.saturating_sub(1));
    let ledger = match ledger {
        [Value::Nil, ..] | [] => None,
        [run, high, longest] => Some(Ledger {
            run: text(run)?,
            high: number(high)?,
            longest: Duration::from_millis(number(longest)?),
        }),
        _ => return None,
    };
    Some(Look { run: text(run)?, uptime, ledger })
}

fn owned(operation: &'static str, answer: &Value) -> Result<Owned> {
    match answer {
        Value::Int(1) => Ok(Owned::Done),
        Value::Int(0) => Ok(Owned::NotOurs),
        _ => Err(senseless(operation)),
    }
}

fn parts(answer: &Value) -> &[Value] {
    match answer {
        Value::Array(parts) => parts,
        _ => &[],
    }
}

fn text(value: &Value) -> Option<Arc<str>> {
    match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok().map(Arc::from),
        Value::SimpleString(text) => Some(Arc::from(text.as_str())),
        _ => None,
    }
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}

fn senseless(operation: &'static str) -> Error {
    Error::new(ErrorKind::Protocol, operation)
}

fn decimal(number: impl fmt::Display) -> String {
    number.to_string()
}

/// Redis refuses a life of 0 ms.
fn millis(life: Duration) -> String {
    decimal(u64::try_from(life.as_millis()).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 4))
}
