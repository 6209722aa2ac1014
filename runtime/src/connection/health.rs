//! How the servers are: asked of each of them, at the caller's request.

use futures_util::future::join_all;
use redis::Value;
use serde::Serialize;

use super::Connection;
use super::breaker::BreakerStatus;
use super::endpoint::{Endpoint, EndpointStatus, PATIENCE};
use crate::clock;

/// Whether the store serves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Status {
    /// Every server answers.
    Up,
    /// Some do not.
    Degraded,
    /// None does. Cached functions answer from their bodies, locks are refused.
    Down,
}

/// How the store of a `Keylatch` is. `Serialize`, so that it can be a service's health endpoint.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Health {
    /// The whole.
    pub status: Status,
    /// `embedded`, `single`, `replicas`, `sentinel`, `cluster` or `rest`.
    pub topology: &'static str,
    /// Each server; empty for the embedded store.
    pub servers: Vec<ServerHealth>,
    /// What a person should look at.
    pub warnings: Vec<String>,
}

/// How one server is. What it did not tell is `None`.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ServerHealth {
    /// Host and port, or the path of the socket.
    pub address: String,
    /// Whether it answered, and how soon, in microseconds.
    pub latency_us: Option<u64>,
    /// Why it did not answer.
    pub error: Option<String>,
    /// `redis` or `valkey`.
    pub kind: Option<&'static str>,
    /// The version of that.
    pub version: Option<String>,
    /// `primary` or `replica`.
    pub role: Option<&'static str>,
    /// Bytes in use.
    pub used_memory: Option<u64>,
    /// Bytes it may use; 0 for no limit.
    pub max_memory: Option<u64>,
    /// What it evicts when that is used up.
    pub eviction_policy: Option<String>,
    /// Connected clients.
    pub clients: Option<u64>,
    /// Seconds since it was started.
    pub uptime_s: Option<u64>,
    /// Of a replica: bytes of the replication stream that its primary was ahead when both were asked.
    pub lag_bytes: Option<u64>,
    /// Its circuit breaker.
    pub breaker: BreakerStatus,
    /// Live connections of this process to it.
    pub connections: usize,
}

impl Health {
    pub(crate) fn embedded() -> Self {
        Self { status: Status::Up, topology: "embedded", servers: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn unusable(fault: String) -> Self {
        Self { status: Status::Down, topology: "none", servers: Vec::new(), warnings: vec![fault] }
    }
}

impl Connection {
    /// Asks every server how it is. Takes two seconds at most, also where servers hang, and never fails: what does not answer is
    /// reported so.
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn health(&self) -> Health {
        // Makes the servers known where nobody has asked for them yet.
        let looked_up = clock::within(PATIENCE, self.0.servers.primaries()).await;
        let (primaries, replicas) = self.0.servers.known();
        let mut servers = join_all(primaries.iter().chain(&replicas).map(ask)).await;
        let ahead =
            servers.iter().find(|(server, _)| server.role == Some("primary")).and_then(|(_, offset)| *offset);
        for (server, offset) in &mut servers {
            if server.role == Some("replica") {
                server.lag_bytes = ahead.zip(*offset).map(|(ahead, own)| ahead.saturating_sub(own));
            }
        }
        let servers: Vec<ServerHealth> = servers.into_iter().map(|(server, _)| server).collect();
        let answering = servers.iter().filter(|server| server.latency_us.is_some()).count();
        let status = match answering {
            0 => Status::Down,
            all if all == servers.len() => Status::Up,
            _ => Status::Degraded,
        };
        let mut warnings: Vec<String> = servers.iter().filter_map(ServerHealth::endangers_locks).collect();
        if let Some(Err(error)) = looked_up {
            warnings.push(error.to_string());
        }
        Health { status, topology: self.topology_name(), servers, warnings }
    }
}

impl Connection {
    /// The servers that are known, as this process sees them. Nothing is asked.
    pub(crate) fn status(&self) -> Vec<EndpointStatus> {
        let (primaries, replicas) = self.0.servers.known();
        primaries.iter().chain(&replicas).map(Endpoint::status).collect()
    }
}

impl ServerHealth {
    /// Locks and stamps are ordinary keys: a server that evicts keys that do not expire, or any key, can evict them. An evicted
    /// stamp is a miss; an evicted lock is free.
    pub(crate) fn endangers_locks(&self) -> Option<String> {
        let policy = self.eviction_policy.as_deref()?;
        let endangers = self.max_memory.is_some_and(|limit| limit > 0) && policy != "noeviction";
        endangers.then(|| {
            format!(
                "{}: maxmemory-policy {policy} may evict locks, which are then free while they are held; use noeviction, \
                 or another server for locks",
                self.address
            )
        })
    }
}

async fn ask(endpoint: &Endpoint) -> (ServerHealth, Option<u64>) {
    let info = redis::cmd("INFO");
    let began = clock::now();
    let sent = endpoint.ask(&info);
    let answer = clock::within(PATIENCE, sent).await;
    let took = clock::now() - began;
    let (text, error) = match answer {
        Some(Ok(answer)) => (text(answer).unwrap_or_default(), None),
        Some(Err(failed)) => (String::new(), Some(failed.during("ask for health").to_string())),
        None => (String::new(), Some(format!("no answer within {PATIENCE:?}"))),
    };
    let latency = error.is_none().then(|| u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
    describe(endpoint, &text, latency, error)
}

fn describe(
    endpoint: &Endpoint,
    info: &str,
    latency_us: Option<u64>,
    error: Option<String>,
) -> (ServerHealth, Option<u64>) {
    let field = |name: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    };
    let number = |name: &str| field(name).and_then(|value| value.parse().ok());
    let valkey = field("valkey_version");
    let role = field("role").map(|role| if role == "slave" { "replica" } else { "primary" });
    let offset = number(if role == Some("replica") { "slave_repl_offset" } else { "master_repl_offset" });
    let status = endpoint.status();
    let server = ServerHealth {
        address: status.address,
        latency_us,
        error,
        kind: match (&valkey, field("redis_version")) {
            (Some(_), _) => Some("valkey"),
            (None, Some(_)) => Some("redis"),
            (None, None) => None,
        },
        version: valkey.or_else(|| field("redis_version")),
        role,
        used_memory: number("used_memory"),
        max_memory: number("maxmemory"),
        eviction_policy: field("maxmemory_policy"),
        clients: number("connected_clients"),
        uptime_s: number("uptime_in_seconds"),
        lag_bytes: None,
        breaker: status.breaker,
        connections: status.connections,
    };
    (server, offset)
}

fn text(answer: Value) -> Option<String> {
    redis::from_redis_value(answer).ok()
}
