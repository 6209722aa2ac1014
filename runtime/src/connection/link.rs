//! Owns the one live connection: who dials, when a broken one is replaced, how soon after a failure to try again.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use arc_swap::ArcSwapOption;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, PushInfo, PushKind, Value};
use tokio::sync::watch;

use super::failure::failed;
use super::pulse::Pulse;
use super::{Address, Limits};
use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind, Result};
use crate::random;
use crate::store::Wakeups;
use crate::telemetry;

/// The first and the longest pause after a failed dial. Between two dials every command fails at once.
const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);
/// Commands that may wait for the writer. The client's default of 50 makes small batches (measured).
const PIPELINE_BUFFER: usize = 1024;

/// A connection that worked when it was handed out.
#[derive(Clone)]
pub(super) struct Live {
    pub(super) connection: MultiplexedConnection,
    pub(super) pulse: Arc<Pulse>,
    generation: u64,
}

pub(super) struct Link(Arc<Shared>);

struct Shared {
    client: Client,
    address: String,
    connect_timeout: Duration,
    current: ArcSwapOption<Live>,
    dialing: Mutex<Dialing>,
    generation: AtomicU64,
    /// Which server answered the last dial: its run id.
    server: Mutex<Option<String>>,
    /// The generation of a connection to another server than before, from which nothing is read yet; 0 for none.
    unfamiliar: AtomicU64,
    tracking: AtomicBool,
    wakeups: Wakeups,
}

enum Dialing {
    Idle { failures: u32, not_before: Option<(Instant, Error)> },
    Now(watch::Receiver<Option<Result<Live>>>),
}

impl Link {
    pub(super) fn new(at: &Address, limits: Limits, wakeups: Wakeups) -> Result<Self> {
        let address = at.to_string();
        let client = at.client()?;
        Ok(Self(Arc::new(Shared {
            client,
            address,
            connect_timeout: limits.connect_timeout,
            current: ArcSwapOption::empty(),
            dialing: Mutex::new(Dialing::Idle { failures: 0, not_before: None }),
            generation: AtomicU64::new(0),
            server: Mutex::new(None),
            unfamiliar: AtomicU64::new(0),
            tracking: AtomicBool::new(false),
            wakeups,
        })))
    }

    pub(super) fn is_tracking(&self) -> bool {
        self.0.tracking.load(Ordering::Relaxed)
    }

    /// The live connection, dialling if there is none.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] at once while the pause after a failed dial lasts.
    pub(super) async fn live(&self) -> Result<Live> {
        if let Some(live) = self.0.current.load().as_deref() {
            if !live.pulse.is_silent() {
                return Ok(live.clone());
            }
            self.0.lost(live.generation);
        }
        let mut dialled = Shared::dial(&self.0)?;
        let outcome = dialled.wait_for(Option::is_some).await;
        match outcome.ok().and_then(|outcome| (*outcome).clone()) {
            Some(outcome) => outcome,
            None => Err(Error::new(ErrorKind::Unavailable, "connect").with("server", &self.0.address)),
        }
    }

    /// The generation of a connection to a server that may not know the last invalidations: it was restarted, or another
    /// one has taken its place.
    pub(super) fn unfamiliar(&self) -> Option<u64> {
        Some(self.0.unfamiliar.load(Ordering::Acquire)).filter(|generation| *generation != 0)
    }

    /// The server of that generation knows the last invalidations by now.
    pub(super) fn familiar(&self, generation: u64) {
        // Refused if there is yet another server by now, which then stays unfamiliar.
        let _ = self.0.unfamiliar.compare_exchange(generation, 0, Ordering::AcqRel, Ordering::Acquire);
    }

    /// Forgets a connection that turned out to be broken, unless it has been replaced already.
    pub(super) fn broken(&self, live: &Live) {
        self.0.lost(live.generation);
    }
}

impl Shared {
    /// Joins the dial that is under way or starts one, in a task of its own: a caller that is dropped does not take
    /// everybody's dial with it.
    fn dial(shared: &Arc<Self>) -> Result<watch::Receiver<Option<Result<Live>>>> {
        let mut dialing = shared.dialing.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(live) = shared.current.load().as_deref() {
            return Ok(watch::channel(Some(Ok(live.clone()))).1);
        }
        match &*dialing {
            // A dial whose task went with its runtime will never announce anything.
            Dialing::Now(outcome) if outcome.has_changed().is_ok() => return Ok(outcome.clone()),
            Dialing::Idle { not_before: Some((not_before, error)), .. } if clock::now() < *not_before => {
                return Err(error.clone());
            }
            Dialing::Idle { .. } | Dialing::Now(_) => {}
        }
        let failures = match &*dialing {
            Dialing::Idle { failures, .. } => *failures,
            Dialing::Now(_) => 0,
        };
        let (announce, outcome) = watch::channel(None);
        *dialing = Dialing::Now(outcome.clone());
        drop(dialing);
        let shared = Arc::clone(shared);
        tokio::spawn(async move {
            let dialled = shared.connect().await;
            shared.dialled(&dialled, failures);
            announce.send_replace(Some(dialled));
        });
        Ok(outcome)
    }

    fn dialled(&self, dialled: &Result<Live>, failures: u32) {
        let next = match dialled {
            Ok(live) => {
                telemetry::connected(&self.address, self.tracking.load(Ordering::Relaxed));
                self.current.store(Some(Arc::new(live.clone())));
                Dialing::Idle { failures: 0, not_before: None }
            }
            Err(error) => {
                telemetry::connect_failed(error);
                let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
                let not_before = clock::now() + pause.mul_f64(0.5 + random::fraction() / 2.0);
                Dialing::Idle { failures: failures + 1, not_before: Some((not_before, error.clone())) }
            }
        };
        *self.dialing.lock().unwrap_or_else(PoisonError::into_inner) = next;
    }

    async fn connect(self: &Arc<Self>) -> Result<Live> {
        let generation = self.generation.fetch_add(1, Ordering::Relaxed) + 1;
        let pushes = Arc::downgrade(self);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connect_timeout))
            // Our own time-out covers the whole call, the wait for a connection included.
            .set_response_timeout(None)
            .set_pipeline_buffer_size(PIPELINE_BUFFER)
            .set_push_sender(move |push: PushInfo| {
                if let Some(shared) = pushes.upgrade() {
                    shared.pushed(generation, &push);
                }
                Ok::<(), std::convert::Infallible>(())
            });
        // The client's time-out does not cover the handshake with a server that accepts and then says nothing.
        let dial = self.client.get_multiplexed_async_connection_with_config(&config);
        let Some(dialled) = clock::within(self.connect_timeout, dial).await else {
            return Err(Error::new(ErrorKind::Timeout, "connect")
                .with("server", &self.address)
                .with("limit", format_args!("{:?}", self.connect_timeout)));
        };
        let mut connection = dialled.map_err(|error| failed("connect", &self.address, error))?;
        let mut track = redis::cmd("CLIENT");
        track.arg("TRACKING").arg("ON").arg("OPTIN");
        let tracked = clock::within(self.connect_timeout, track.query_async::<()>(&mut connection)).await;
        // A server or proxy that cannot track is served by timers alone.
        self.tracking.store(matches!(tracked, Some(Ok(()))), Ordering::Relaxed);
        self.meet(&mut connection, generation).await;
        Ok(Live { connection, pulse: Arc::default(), generation })
    }

    /// Notices another server than before, before anything can be read from it. A server that does not tell its run id
    /// counts as another one each time.
    async fn meet(&self, connection: &mut MultiplexedConnection, generation: u64) {
        let mut info = redis::cmd("INFO");
        info.arg("server");
        let told = clock::within(self.connect_timeout, info.query_async::<String>(connection)).await;
        let run_id = told
            .and_then(Result::ok)
            .and_then(|info| info.lines().find_map(|line| line.strip_prefix("run_id:")).map(str::to_owned));
        let mut server = self.server.lock().unwrap_or_else(PoisonError::into_inner);
        if server.is_some() && (run_id.is_none() || *server != run_id) {
            telemetry::unfamiliar(&self.address);
            self.unfamiliar.store(generation, Ordering::Release);
        }
        *server = Some(run_id.unwrap_or_default());
    }

    fn pushed(&self, generation: u64, push: &PushInfo) {
        match push.kind {
            PushKind::Disconnection => self.lost(generation),
            PushKind::Invalidate => match push.data.first() {
                Some(Value::Array(keys)) => {
                    for key in keys {
                        if let Value::BulkString(key) = key {
                            self.wakeups.changed(key);
                        }
                    }
                }
                // The server was flushed.
                _ => self.wakeups.all_changed(),
            },
            _ => {}
        }
    }

    fn lost(&self, generation: u64) {
        let current = self.current.load();
        if current.as_ref().is_some_and(|live| live.generation == generation) {
            let previous = self.current.compare_and_swap(&*current, None);
            if previous.as_ref().is_some_and(|live| live.generation == generation) {
                telemetry::disconnected(&self.address);
                self.wakeups.all_changed();
            }
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").field("address", &self.0.address).finish_non_exhaustive()
    }
}
