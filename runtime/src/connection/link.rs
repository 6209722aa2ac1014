//! One multiplexed connection: who dials it, what is asked of a server when it is met, when it counts as lost.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, Pipeline, PushInfo, PushKind, Value};
use tokio::sync::watch;

use super::dial::{self, Driver};
use super::failure::failed;
use super::greeting::{Greeting, Role};
use super::place::Place;
use super::traffic::Traffic;
use super::vigil;
use super::{Address, Limits};
use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind, Result};
use crate::store::Via;
use crate::telemetry;

/// Commands that may wait for the writer. The client's default of 50 makes small batches (measured).
const PIPELINE_BUFFER: usize = 1024;
/// Bytes that are gathered before they are written, whatever else may come. The default of 8 KiB takes several writes for
/// what a few hundred callers ask at once.
const WRITE_BUFFER: usize = 64 << 10;

/// A connection that worked when it was handed out. Commands go over a clone of it.
pub(super) struct Live {
    connection: MultiplexedConnection,
    generation: u64,
    pub(super) via: Via,
    pub(super) traffic: Arc<Traffic>,
    /// Nothing came for a while; it is being checked, and others are preferred.
    pub(super) suspect: AtomicBool,
    /// Whether the server tells this connection of changes.
    pub(super) tracking: bool,
    /// Ends with the last user of the connection.
    _driver: Driver,
}

impl Live {
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    pub(super) fn connection(&self) -> MultiplexedConnection {
        self.connection.clone()
    }

    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.load(Ordering::Relaxed)
    }
}

/// What a connection is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Commands,
    /// To be told of locks that are handed to this process. Apart from the others: what waits for a subscriber may take
    /// less room on the server than answers may, and it hangs up on who is slower.
    Inbox,
}

/// How soon after a failed dial a missing connection is dialled again where others serve.
const DIAL_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct Link(Arc<Shared>);

/// A link that does not keep it alive.
pub(super) struct WeakLink(Weak<Shared>);

struct Shared {
    client: Client,
    address: String,
    role: Role,
    purpose: Purpose,
    connect_timeout: Duration,
    max_memory: Option<u64>,
    current: ArcSwapOption<Live>,
    dialing: Mutex<Dialing>,
    generation: AtomicU64,
    traffic: Arc<Traffic>,
    place: Arc<Place>,
}

#[derive(Default)]
struct Dialing {
    outcome: Option<watch::Receiver<Option<Result<Arc<Live>>>>>,
    failed: Option<Instant>,
}

impl Link {
    pub(super) fn new(address: &Address, role: Role, limits: Limits, place: Arc<Place>) -> Result<Self> {
        Self::with(Purpose::Commands, address, role, limits, place)
    }

    /// One over which this process is told of locks that it is handed.
    pub(super) fn inbox(address: &Address, limits: Limits, place: Arc<Place>) -> Result<Self> {
        Self::with(Purpose::Inbox, address, Role::Any, limits, place)
    }

    fn with(
        purpose: Purpose,
        address: &Address,
        role: Role,
        limits: Limits,
        place: Arc<Place>,
    ) -> Result<Self> {
        Ok(Self(Arc::new(Shared {
            client: address.client()?,
            address: address.to_string(),
            role,
            purpose,
            connect_timeout: limits.connect_timeout,
            max_memory: limits.max_memory,
            current: ArcSwapOption::empty(),
            dialing: Mutex::default(),
            generation: AtomicU64::new(0),
            traffic: Arc::default(),
            place,
        })))
    }

    pub(super) fn traffic(&self) -> &Traffic {
        &self.0.traffic
    }

    /// The connection, if there is one.
    pub(super) fn current(&self) -> Option<Arc<Live>> {
        self.0.current.load_full()
    }

    /// Whether there is no connection, nobody dials, and no dial has just failed.
    pub(super) fn is_missing(&self) -> bool {
        if self.0.current.load().is_some() {
            return false;
        }
        let dialing = self.0.dialing.lock().unwrap_or_else(PoisonError::into_inner);
        let under_way = dialing.outcome.as_ref().is_some_and(|outcome| outcome.has_changed().is_ok());
        !under_way && dialing.failed.is_none_or(|at| clock::now() - at > DIAL_PAUSE)
    }

    /// Whether there is a connection.
    pub(super) fn is_there(&self) -> bool {
        self.0.current.load().is_some()
    }

    /// Whether there is a connection that nothing speaks against.
    pub(super) fn is_healthy(&self) -> bool {
        self.0.current.load().as_ref().is_some_and(|live| !live.is_suspect())
    }

    /// The live connection, dialling if there is none.
    ///
    /// # Errors
    /// What the dial failed with.
    pub(super) async fn dialled(&self) -> Result<Arc<Live>> {
        if let Some(live) = self.current() {
            return Ok(live);
        }
        let mut dialled = self.dial();
        let outcome = dialled.wait_for(Option::is_some).await;
        match outcome.ok().and_then(|outcome| (*outcome).clone()) {
            Some(outcome) => outcome,
            None => Err(Error::new(ErrorKind::Unavailable, "connect").with("server", &self.0.address)),
        }
    }

    /// Joins the dial that is under way or starts one, in a task of its own: a caller that is dropped does not take
    /// everybody's dial with it.
    pub(super) fn dial(&self) -> watch::Receiver<Option<Result<Arc<Live>>>> {
        let mut dialing = self.0.dialing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = self.current() {
            return watch::channel(Some(Ok(live))).1;
        }
        // A dial whose task went with its runtime will never announce anything.
        if let Some(outcome) = dialing.outcome.as_ref().filter(|outcome| outcome.has_changed().is_ok()) {
            return outcome.clone();
        }
        let (announce, outcome) = watch::channel(None);
        dialing.outcome = Some(outcome.clone());
        drop(dialing);
        let shared = Arc::clone(&self.0);
        tokio::spawn(async move {
            let dialled = shared.connect().await;
            shared.announce(&dialled);
            announce.send_replace(Some(dialled));
        });
        outcome
    }

    pub(super) fn client(&self) -> Client {
        self.0.client.clone()
    }

    /// Another connection to the same server, which is not kept.
    pub(super) async fn dedicated(&self) -> Result<MultiplexedConnection> {
        let shared = &self.0;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(shared.connect_timeout))
            .set_response_timeout(None);
        let dial = shared.client.get_multiplexed_async_connection_with_config(&config);
        match clock::within(shared.connect_timeout, dial).await {
            Some(dialled) => dialled.map_err(|error| failed("connect", &shared.address, error)),
            None => Err(Error::new(ErrorKind::Timeout, "connect").with("server", &shared.address)),
        }
    }

    /// Forgets the connection, if there is one.
    pub(super) fn give_up(&self) {
        if let Some(live) = self.current() {
            self.broken(&live);
        }
    }

    /// Forgets a connection that turned out to be broken, unless it has been replaced already.
    pub(super) fn broken(&self, live: &Live) {
        self.0.lost(live.generation);
    }
}

impl WeakLink {
    /// Forgets the connection that was dialled as that many-th, unless it has been replaced already.
    pub(super) fn lost(&self, generation: u64) {
        if let Some(shared) = self.0.upgrade() {
            shared.lost(generation);
        }
    }

    /// Whether that one is still in use.
    pub(super) fn has(&self, generation: u64) -> bool {
        let shared = self.0.upgrade();
        shared.is_some_and(|shared| {
            shared.current.load().as_ref().is_some_and(|live| live.generation == generation)
        })
    }
}

impl Shared {
    fn announce(self: &Arc<Self>, dialled: &Result<Arc<Live>>) {
        let failed = match dialled {
            Ok(live) => {
                if self.purpose == Purpose::Commands {
                    telemetry::connected(&self.address, live.tracking);
                    // Of what replicas answer nothing is kept, and of sentinels no values are asked.
                    if !live.tracking && self.role == Role::Primary {
                        self.place.hub().untold(&self.address);
                    }
                }
                self.current.store(Some(Arc::clone(live)));
                if live.tracking {
                    let wakeups = self.place.hub().wakeups.clone();
                    vigil::keep(live, WeakLink(Arc::downgrade(self)), wakeups, self.address.clone());
                }
                None
            }
            Err(error) => {
                telemetry::connect_failed(error);
                Some(clock::now())
            }
        };
        *self.dialing.lock().unwrap_or_else(PoisonError::into_inner) = Dialing { outcome: None, failed };
    }

    async fn connect(self: &Arc<Self>) -> Result<Arc<Live>> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let pushes = Arc::downgrade(self);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // Our own time-out covers the whole call, the wait for a connection included.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_write_backpressure_boundary(WRITE_BUFFER)
            .set_push_sender(move |push: PushInfo| {
                if let Some(shared) = pushes.upgrade() {
                    shared.pushed(generation, &push);
                }
                Ok::<(), std::convert::Infallible>(())
            });
        // The client's time-out does not cover the handshake with a server that accepts and then says nothing.
        let dialled = clock::within(self.connect_timeout, async {
            let (mut connection, driver) = dial::dial(&self.client, config, &self.traffic)
                .await
                .map_err(|error| failed("connect", &self.address, error))?;
            let (tracking, greeting) = match self.purpose {
                Purpose::Commands => self.greet(&mut connection).await?,
                Purpose::Inbox => {
                    let subscribed = connection.subscribe(crate::lock::inbox_channel()).await;
                    subscribed.map_err(|error| failed("subscribe", &self.address, error))?;
                    (false, Greeting::default())
                }
            };
            Ok::<_, Error>((connection, driver, tracking, greeting))
        });
        let Some(dialled) = dialled.await else {
            return Err(Error::new(ErrorKind::Timeout, "connect")
                .with("server", &self.address)
                .with("limit", format_args!("{:?}", self.connect_timeout)));
        };
        let (connection, driver, tracking, greeting) = dialled?;
        self.role.check(&greeting, &self.address)?;
        if self.role == Role::Primary {
            self.place.met(greeting.run_id(), &self.address);
        }
        Ok(Arc::new(Live {
            connection,
            generation,
            via: Via::new(),
            traffic: Arc::clone(&self.traffic),
            suspect: AtomicBool::new(false),
            tracking,
            _driver: driver,
        }))
    }

    /// Asks who the server is, and to be told of changes. A server or proxy that cannot do one of it is served without.
    async fn greet(&self, connection: &mut MultiplexedConnection) -> Result<(bool, Greeting)> {
        let mut pipeline = Pipeline::with_capacity(5);
        pipeline.cmd("CLIENT").arg("TRACKING").arg("ON").arg("OPTIN");
        pipeline.cmd("INFO").arg("server");
        pipeline.cmd("INFO").arg("replication");
        if self.role == Role::Primary
            && let Some(limit) = self.max_memory
        {
            pipeline.cmd("CONFIG").arg("SET").arg("maxmemory").arg(limit);
        }
        if self.role == Role::Replica {
            // The nodes of a cluster send readers of a replica to its primary unless they say that they mean it.
            pipeline.cmd("READONLY");
        }
        let answers = connection.send_packed_commands(&pipeline, 0, pipeline.len()).await;
        let mut answers = answers.map_err(|error| failed("connect", &self.address, error))?.into_iter();
        let tracking = answers.next() == Some(Value::Okay);
        let info =
            answers.by_ref().take(2).filter_map(|answer| redis::from_redis_value::<String>(answer).ok());
        let greeting = Greeting::parse(&info.collect::<String>());
        if self.role == Role::Primary
            && let Some(Value::ServerError(refused)) = answers.next()
        {
            telemetry::max_memory_refused(&self.address, refused.code());
        }
        Ok((tracking, greeting))
    }

    fn pushed(&self, generation: u64, push: &PushInfo) {
        let wakeups = &self.place.hub().wakeups;
        match push.kind {
            PushKind::Disconnection => self.lost(generation),
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => {
                    for key in keys {
                        if let Value::BulkString(key) = key {
                            wakeups.changed(key);
                        }
                    }
                }
                // The server was flushed.
                _ => wakeups.all_changed(),
            },
            PushKind::Message => {
                if let Some(Value::BulkString(message)) = push.data.get(1) {
                    crate::lock::deliver(message);
                }
            }
            _ => {}
        }
    }

    fn lost(&self, generation: u64) {
        let current = self.current.load();
        if current.as_ref().is_some_and(|live| live.generation == generation) {
            let previous = self.current.compare_and_swap(&*current, None);
            if previous.as_ref().is_some_and(|live| live.generation == generation) {
                telemetry::disconnected(&self.address);
                if self.purpose == Purpose::Inbox {
                    return crate::lock::disturbed();
                }
                let hub = self.place.hub();
                hub.wakeups.all_changed();
                hub.trouble.notify_one();
            }
        }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // The server is no longer one of ours, so nobody tells any more what it watched.
        if self.purpose == Purpose::Commands && self.current.load().is_some() {
            self.place.hub().wakeups.all_changed();
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("address", &self.0.address).finish_non_exhaustive()
    }
}
