//! The managed connection: one type in front of every topology, with time-outs, retries and circuit breakers around every
//! command.
//!
//! `topology/` knows which servers there are and chooses one, `endpoint` is one server with its connections and its
//! breaker, `link` is one connection. `gather/` sends requests of several callers together.

mod answer;
mod attempt;
mod backoff;
mod breaker;
mod client;
mod commands;
mod config;
mod dial;
mod directory;
mod endpoint;
mod failure;
mod gather;
mod greeting;
mod health;
#[cfg(feature = "json")]
mod json;
mod link;
mod place;
mod pool;
mod prober;
mod request;
#[cfg(feature = "upstash")]
mod rest;
mod secret;
mod tls;
mod topology;
mod traffic;
mod vigil;

pub use breaker::{BreakerState, BreakerStatus};
pub use endpoint::EndpointStatus;
pub use health::{Health, ServerHealth, Status};
pub use secret::Secret;

pub(crate) use answer::{accepted, unexpected};
pub(crate) use backoff::pause_before;
pub(crate) use breaker::BreakerLimits;
pub(crate) use config::{Address, ConnectionConfig, Limits, Topology};
pub(crate) use gather::{Answered, Gatherer, Sends, Ticket, Together};
pub(crate) use place::Stranger;
pub(crate) use request::{Repeat, Request, Route, Server};
#[cfg(feature = "upstash")]
pub(crate) use rest::{armour, disarm};
pub(crate) use tls::Tls;
pub(crate) use topology::slot_of;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use redis::{Cmd, Pipeline, Value};

use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind, Result};
use crate::instance::AfterFailover;
use crate::key::Key;
use crate::store::{Via, Wakeups};

use endpoint::Endpoint;
use failure::{Failed, Ran};
use place::Hub;
use topology::{Redirect, Servers};

/// A managed connection to Redis, whatever the topology: one server, a primary with replicas, sentinels, a cluster, REST.
///
/// It implements the client's [`ConnectionLike`](redis::aio::ConnectionLike), so every typed command of
/// [`redis::AsyncCommands`], pipelines, transactions and scripts work on it. It dials at the first command, redials by
/// itself, repeats what is safe to repeat, and fails at once while a server is known to be down. Cheap to clone; a command
/// whose future is dropped may or may not have run, and disturbs no other.
///
/// ```no_run
/// use keylatch::{Keylatch, redis::AsyncCommands};
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let cache = Keylatch::from_env()?;
/// let mut redis = cache.connection().expect("REDIS_URL is set");
/// redis.hset::<_, _, _, ()>("visits", "today", 1).await?;
/// let visits: u64 = redis.hincr("visits", "today", 1).await?;
/// # Ok(())
/// # }
/// ```
///
/// Commands that wait on the server (`BLPOP`, `XREAD BLOCK` ..) get a connection of their own, without a time-out.
/// Commands that change the connection they share with others (`SELECT`, `MULTI` by hand, `SUBSCRIBE` ..), or whose answer
/// depends on what else went over it (`WAIT`), are refused.
#[derive(Clone)]
pub struct Connection(Arc<Shared>);

struct Shared {
    servers: Servers,
    hub: Arc<Hub>,
    limits: Limits,
    database: i64,
    /// What a dedicated connection is made from, where there is one server at a known address.
    topology: Topology,
    /// No new commands.
    closed: AtomicBool,
    /// Until when replicas are not read, in this process's time.
    fresh_until: std::sync::Mutex<Option<Instant>>,
}

/// Redirects that one command follows at most.
const MOST_REDIRECTS: u32 = 8;
/// How long replicas are not read by a process that has invalidated something: longer than one may lag.
const UNTIL_REPLICATED: Duration = Duration::from_secs(3);

impl Connection {
    /// Does not connect yet, so it needs no runtime.
    pub(crate) fn new(config: ConnectionConfig) -> Result<Self> {
        let hub = Hub::new(config.after_failover);
        let database = match &config.topology {
            Topology::Single(address) | Topology::Replicas { primary: address, .. } => address.database(),
            Topology::Sentinel { template, .. } => template.database(),
            Topology::Cluster { .. } => 0,
            #[cfg(feature = "upstash")]
            Topology::Rest { .. } => 0,
        };
        Ok(Self(Arc::new(Shared {
            servers: Servers::new(&config, &hub)?,
            hub,
            limits: config.limits,
            database,
            topology: config.topology,
            closed: AtomicBool::new(false),
            fresh_until: std::sync::Mutex::default(),
        })))
    }

    pub(crate) fn wakeups(&self) -> &Wakeups {
        &self.0.hub.wakeups
    }

    pub(crate) fn limits(&self) -> Limits {
        self.0.limits
    }

    /// Servers that must be told the last invalidations before anything is read from them.
    pub(crate) fn strangers(&self) -> Vec<Stranger> {
        self.0.hub.strangers()
    }

    /// Whether the only server there is was that run when it was met last: the connections that there are lead to it, and
    /// what was answered over earlier ones was answered by it or by an earlier run.
    pub(crate) fn is_run(&self, run_id: &str) -> bool {
        matches!(&self.0.servers, Servers::Single(endpoint) if endpoint.place().is_run(run_id))
    }

    /// The address, for people: without secrets.
    pub(crate) fn server_name(&self) -> String {
        match &self.0.servers {
            Servers::Single(endpoint) => endpoint.address().to_owned(),
            _ => self.topology_name().to_owned(),
        }
    }

    pub(crate) fn has_replicas(&self) -> bool {
        self.0.servers.has_replicas()
    }

    pub(crate) fn has_strangers(&self) -> bool {
        self.0.hub.has_strangers()
    }

    /// Whether keys are spread over several servers.
    pub(crate) fn is_cluster(&self) -> bool {
        self.0.servers.is_cluster()
    }

    /// Whether only text can be sent.
    #[cfg(feature = "upstash")]
    pub(crate) fn is_text(&self) -> bool {
        matches!(self.0.topology, Topology::Rest { .. })
    }

    /// Whether the servers tell this process of changes.
    pub(crate) fn is_tracking(&self) -> bool {
        if let Servers::Single(endpoint) = &self.0.servers {
            return endpoint.is_tracking();
        }
        let (primaries, _) = self.0.servers.known();
        !primaries.is_empty() && primaries.iter().all(Endpoint::is_tracking)
    }

    /// Whether the server that has the key is known to be down: commands fail at once.
    pub(crate) fn is_down(&self, key: &[u8]) -> bool {
        self.0.servers.is_down(key)
    }

    pub(crate) fn is_any_down(&self) -> bool {
        let (primaries, _) = self.0.servers.known();
        primaries.is_empty() || primaries.iter().any(|primary| !primary.is_open_for_use())
    }

    /// How often servers have gone down so far: another number means another outage.
    pub(crate) fn outages(&self) -> u64 {
        let (primaries, _) = self.0.servers.known();
        primaries.iter().map(Endpoint::opened).sum()
    }

    pub(crate) fn topology_name(&self) -> &'static str {
        match self.0.topology {
            Topology::Single(_) => "single",
            Topology::Replicas { .. } => "replicas",
            Topology::Sentinel { .. } => "sentinel",
            Topology::Cluster { .. } => "cluster",
            #[cfg(feature = "upstash")]
            Topology::Rest { .. } => "rest",
        }
    }

    /// From now on and for a while, replicas are not read: they may not have what this process has just changed.
    pub(crate) fn changed(&self) {
        if !self.0.servers.has_replicas() {
            return;
        }
        let until = clock::now() + UNTIL_REPLICATED;
        *self.0.fresh_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(until);
    }

    /// Sends one command.
    pub(crate) async fn command(
        &self,
        operation: &'static str,
        route: Route<'_>,
        cmd: &Cmd,
    ) -> Result<Value> {
        self.send(operation, route, Request::Command(cmd)).await
    }

    /// Sends several commands in one write. The first error among the answers is the error of the whole.
    pub(crate) async fn pipeline(
        &self,
        operation: &'static str,
        route: Route<'_>,
        pipeline: &Pipeline,
    ) -> Result<Vec<Value>> {
        match self.send(operation, route, Request::all(pipeline)).await? {
            Value::Array(answers) => answers
                .into_iter()
                .map(Value::extract_error)
                .collect::<redis::RedisResult<_>>()
                .map_err(|error| failure::failed(operation, "pipeline", error)),
            _ => Err(Error::new(ErrorKind::Protocol, operation)),
        }
    }

    /// Sends one request. The time-out covers everything: waiting for a connection, redirects, repetitions.
    pub(crate) async fn send(
        &self,
        operation: &'static str,
        route: Route<'_>,
        request: Request<'_>,
    ) -> Result<Value> {
        Ok(self.send_via(operation, route, request).await?.0)
    }

    /// The same; the answer, and over which connection it came, where there are any.
    pub(crate) async fn send_via(
        &self,
        operation: &'static str,
        route: Route<'_>,
        request: Request<'_>,
    ) -> Result<(Value, Option<Via>)> {
        self.open(operation)?;
        let limit = self.0.limits.command_timeout;
        // Pinned here, so that it is not moved into the timer: this is on the way of every command.
        let began = clock::now();
        let sent = std::pin::pin!(self.deliver(route, request, began));
        match clock::within_since(began, limit, sent).await {
            Some(answer) => answer.map_err(|failed| failed.during(operation)),
            None => Err(out_of_time(operation, limit)),
        }
    }

    /// Chooses a server and sends, again where that is safe and may help.
    async fn deliver(
        &self,
        mut route: Route<'_>,
        request: Request<'_>,
        mut now: Instant,
    ) -> Result<(Value, Option<Via>), Failed> {
        let (mut repetitions, mut redirects) = (0, 0);
        let mut asked_for: Option<Endpoint> = None;
        // What was sent before, and may have run.
        let mut unanswered: Option<Failed> = None;
        loop {
            let asking = asked_for.is_some();
            let chosen;
            let endpoint = match (asked_for.take(), &self.0.servers) {
                // The common case, without a look-up.
                (None, Servers::Single(only)) => only,
                (asked_for, _) => {
                    chosen = match asked_for {
                        Some(endpoint) => endpoint,
                        None => match Box::pin(self.choose(route)).await {
                            Ok(chosen) => chosen,
                            Err(error) => return Err(unanswered.unwrap_or(Failed::NotSent(error))),
                        },
                    };
                    &chosen
                }
            };
            let sent = endpoint.send(request, route.server, asking, now).await;
            let failed = match sent {
                Ok(answer) => return Ok(answer),
                Err(failed) => failed,
            };
            // The first attempt begins with the call, without another look at the clock.
            now = clock::now();
            if let Some(redirect) = self.0.servers.redirect(&failed).filter(|_| redirects < MOST_REDIRECTS) {
                redirects += 1;
                if let Redirect::Ask(endpoint) = redirect {
                    asked_for = Some(endpoint);
                }
                continue;
            }
            // Whatever is wrong with a replica, the primary serves.
            if self.0.servers.has_replicas()
                && let Some(server) = route.server.without_replicas()
            {
                route.server = server;
                continue;
            }
            let again = match failed.ran() {
                Ran::No => true,
                Ran::Unknown => route.repeat == Repeat::Safe,
                Ran::Answered => false,
            };
            if !again || repetitions == self.0.limits.max_retries {
                return Err(match (failed, unanswered) {
                    (Failed::NotSent(_), Some(unanswered)) => unanswered,
                    (failed, _) => failed,
                });
            }
            if failed.ran() == Ran::Unknown {
                unanswered = Some(failed);
            }
            pause_before(repetitions).await;
            repetitions += 1;
        }
    }

    async fn choose(&self, route: Route<'_>) -> Result<Endpoint> {
        let prefer_primary = route.server.without_replicas().is_some() && self.0.servers.has_replicas() && {
            let until = *self.0.fresh_until.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
            until.is_some_and(|until| clock::now() < until)
        };
        self.0.servers.choose(route, prefer_primary).await
    }

    /// What identifies the servers of the moment, where entries of other ones are not trusted: it changes with each start and
    /// each promotion. `None` while one of them has not been met.
    pub(crate) fn identity(&self) -> Option<[u8; 8]> {
        let (primaries, _) = self.0.servers.known();
        let mut run_ids: Vec<String> =
            primaries.iter().map(|primary| primary.place().run_id()).collect::<Option<_>>()?;
        run_ids.sort_unstable();
        (!run_ids.is_empty())
            .then(|| twox_hash::XxHash3_64::oneshot(run_ids.join(",").as_bytes()).to_le_bytes())
    }

    /// Whether entries written under another server's rule are to be misses.
    pub(crate) fn distrusts(&self) -> bool {
        self.0.hub.after_failover() == AfterFailover::Distrust
    }

    /// Whether a server that was restarted or replaced is told the last invalidations.
    pub(crate) fn replays(&self) -> bool {
        self.0.hub.after_failover() == AfterFailover::Replay
    }

    /// Dials the primaries to which there is no connection, so that it is known whether they are the ones they were.
    pub(crate) async fn meet(&self) {
        // Over REST there are none, and a server does not tell who it is.
        if self.topology_name() == "rest" || self.open("meet").is_err() {
            return;
        }
        let Ok(primaries) = self.primaries("meet").await else { return };
        for node in primaries.iter().filter(|node| node.endpoint.status().connections == 0) {
            // A failure is the breaker's to know.
            let _ = node.command("meet", &redis::cmd("PING")).await;
        }
    }

    /// Each primary, to be addressed one by one: an owner of slots of a cluster, else the only one.
    pub(crate) async fn primaries(&self, operation: &'static str) -> Result<Vec<Node>> {
        let limit = self.0.limits.command_timeout;
        let nodes = in_time(operation, limit, self.0.servers.primaries()).await?;
        Ok(nodes.into_iter().map(|endpoint| Node { endpoint, limit }).collect())
    }

    /// Whether the server that has the key tells this process of locks that it is handed.
    pub(crate) async fn is_listening(&self, key: &Key) -> bool {
        match &self.0.servers {
            Servers::Single(endpoint) => endpoint.is_listening(),
            servers => servers.choose(Self::lock_route(key), true).await.is_ok_and(|it| it.is_listening()),
        }
    }

    /// Sees to that; whether it could be done. Dials where it must.
    pub(crate) async fn listen(&self, key: &Key) -> bool {
        match self.0.servers.choose(Self::lock_route(key), true).await {
            Ok(endpoint) => endpoint.listen().await,
            Err(_) => false,
        }
    }

    fn lock_route(key: &Key) -> Route<'_> {
        Route::to(key, Server::Any, Repeat::Safe)
    }

    fn open(&self, operation: &'static str) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, operation).with("fault", "shut down"));
        }
        Ok(())
    }

    /// Takes no more commands, and waits for those under way; how many were still under way at the end.
    pub(crate) async fn close(&self, limit: Duration) -> u64 {
        self.0.closed.store(true, Ordering::Release);
        let deadline = clock::now() + limit;
        loop {
            let (primaries, replicas) = self.0.servers.known();
            let under_way = primaries.iter().chain(&replicas).map(Endpoint::under_way).sum();
            if under_way == 0 || clock::now() >= deadline {
                return under_way;
            }
            clock::sleep(Duration::from_millis(2)).await;
        }
    }
}

/// One server of a connection, for what must be done on each.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    endpoint: Endpoint,
    limit: Duration,
}

impl Node {
    pub(crate) async fn command(&self, operation: &'static str, cmd: &Cmd) -> Result<Value> {
        let sent = async {
            let sent = self.endpoint.ask(cmd).await;
            sent.map_err(|failed| failed.during(operation))
        };
        in_time(operation, self.limit, sent).await
    }
}

async fn in_time<T>(
    operation: &'static str,
    limit: Duration,
    work: impl Future<Output = Result<T>>,
) -> Result<T> {
    clock::within(limit, work).await.unwrap_or_else(|| Err(out_of_time(operation, limit)))
}

fn out_of_time(operation: &'static str, limit: Duration) -> Error {
    Error::new(ErrorKind::Timeout, operation).with("limit", format_args!("{limit:?}"))
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection").field("topology", &self.0.topology).finish_non_exhaustive()
    }
}
