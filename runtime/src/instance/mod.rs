//! `Keylatch`: one namespace on one store, with everything that acts on it.

mod builder;
mod env;
mod global;
mod handle;
mod locks;
mod settings;
mod shutdown;

pub use builder::Builder;
pub use global::AlreadyInstalled;
pub use settings::{AfterFailover, Provider, Settings};
pub use shutdown::Leftovers;

pub use global::{global, home};

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use crate::cache::{Attempts, Entry, Flights, Function, Slides};
use crate::clock;
use crate::connection::{Connection, Health};
use crate::error::{Error, ErrorKind, Result};
use crate::invalidation::{Invalidation, Kept, Report, Sweep, Target, carry_out, ensure_keeper, keep};
use crate::key::{Key, KeySpace, Namespace, Pattern, entry_of};
use crate::local::{Local, Ticks};
use crate::lock::{AnyMaster, EvictionCheck, Gates, Proposals, Renewals};
use crate::store::{AnyStore, Store};
use crate::telemetry;

use handle::Handle;

/// One namespace on one store: the embedded one of this process, or a Redis server. Cheap to clone.
///
/// Cached functions use the global one unless they say `using = ..`: the one that was [installed](Self::install), else one
/// made [from the environment](Self::from_env) at the first use.
///
/// ```
/// use std::time::Duration;
/// use keylatch::{Key, Keylatch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> keylatch::Result<()> {
/// let cache = Keylatch::in_memory();
/// let key = Key::of("square").part(&12);
/// let square: u64 = cache.entry(key.clone()).ttl(Duration::from_secs(60)).get_or_load(async || 12 * 12).await;
/// assert_eq!(square, 144);
/// cache.invalidate(key).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Keylatch(Handle);

/// Does not keep it alive.
#[derive(Debug, Clone)]
pub(crate) struct WeakKeylatch(Weak<Inner>);

impl WeakKeylatch {
    pub(crate) fn upgrade(&self) -> Option<Keylatch> {
        self.0.upgrade().map(|inner| Keylatch(Handle::Counted(inner)))
    }
}

struct Inner {
    namespace: Namespace,
    space: KeySpace,
    store: AnyStore,
    lock_master: AnyMaster,
    proposals: Proposals,
    local: Option<Arc<Local>>,
    /// Independent masters, for locks that need a majority.
    lock_masters: Vec<Connection>,
    flights: Flights,
    attempts: Attempts,
    slides: Slides,
    kept: Kept,
    renewals: Renewals,
    gates: Gates,
    eviction: EvictionCheck,
    /// Whether a shutdown has begun.
    closed: AtomicBool,
    tuning: Tuning,
}

/// What the settings decide about everything but the store.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Tuning {
    /// Limit of one operation of a cached function on the store, where the function gives none.
    pub(crate) cache_timeout: Duration,
    pub(crate) lease_life: Duration,
    /// Bytes of what is computed while the store is down that this process keeps for that time; 0 keeps nothing.
    pub(crate) outage_memory_limit: u64,
    /// Bytes of values that are kept in the memory of the process; 0 for none.
    pub(crate) local_memory_limit: u64,
    /// How far back invalidations are repeated to a server that is not the one it was.
    pub(crate) failover_replay: Duration,
    pub(crate) rules: Rules,
}

/// The safety rules. Broken on purpose by tests, which must then find something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a rule that holds or is broken")]
pub(crate) struct Rules {
    /// A fill is refused unless the slot still holds the lease that its loader saw before it began.
    pub(crate) check_fills: bool,
    /// Invalidations are remembered, and repeated to a server that failed to take them or may have lost them.
    pub(crate) keep_invalidations: bool,
    /// What is kept in memory was reserved before it was read, and nothing has changed since.
    pub(crate) reserve: bool,
    /// What is kept in memory goes as soon as nobody may tell of its changes, as when a connection is lost.
    pub(crate) forget: bool,
    /// How much later than it could a value is kept in memory: between the answer and the keeping anything may happen.
    pub(crate) keep_later: Duration,
    /// Whoever renews an entry claims that first, so that nobody else does.
    pub(crate) claim_refreshes: bool,
    /// A lock is freed only for its holder.
    pub(crate) check_lock_values: bool,
    /// A lock master that was restarted does not vote until no lock can be left that it has forgotten.
    pub(crate) rest_after_restart: bool,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            check_fills: true,
            keep_invalidations: true,
            reserve: true,
            forget: true,
            keep_later: Duration::ZERO,
            claim_refreshes: true,
            check_lock_values: true,
            rest_after_restart: true,
        }
    }
}

/// The programmatic API's entries in the statistics, unless they are told apart.
static PROGRAMMATIC: Function = Function::new("keylatch::programmatic");

impl Keylatch {
    /// The embedded store: entries and locks of this process, no server. Bounded to 256 MiB; see
    /// [`Builder::memory_limit`].
    #[must_use]
    pub fn in_memory() -> Self {
        let store = crate::store::MemoryStore::new(Settings::default().memory_limit);
        Self::assemble(
            Namespace::by_default(),
            AnyStore::Memory(store),
            Vec::new(),
            Kept::new(Duration::ZERO),
            Tuning::default(),
        )
    }

    /// What the environment says: each field of [`Settings`] names its variable. Without any server it is the embedded
    /// store, with a warning. Does not connect yet.
    ///
    /// # Errors
    /// As [`Settings::from_env`].
    pub fn from_env() -> Result<Self> {
        let (settings, faults) = env::read(env::process);
        let resolved = settings.resolve(Rules::default(), faults)?;
        if matches!(resolved.store, settings::Store::Embedded { .. }) {
            telemetry::embedded_by_default();
        }
        builder::assemble(resolved)
    }

    /// What settings say that you loaded yourself. Does not connect yet.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`]: one error with every fault, each with its field.
    pub fn from_settings(settings: Settings) -> Result<Self> {
        Builder::from_settings(settings).build()
    }

    /// Starts a configuration by code.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// Makes this the global one, which cached functions use by default.
    ///
    /// # Errors
    /// When there is a global one already: installed earlier, or made from the environment by an earlier call of a cached
    /// function. Install before the first call.
    pub fn install(self) -> Result<(), AlreadyInstalled> {
        global::install(self)
    }

    pub(crate) fn assemble(
        namespace: Namespace,
        store: AnyStore,
        lock_masters: Vec<Connection>,
        kept: Kept,
        tuning: Tuning,
    ) -> Self {
        let local = local(&store, tuning);
        let lock_master = locks::master(&store, &lock_masters, &namespace, tuning.rules);
        Self(Handle::Counted(Arc::new(Inner {
            space: KeySpace::new(&namespace),
            namespace,
            store,
            lock_master,
            proposals: Proposals::default(),
            local,
            flights: Flights::default(),
            attempts: Attempts::default(),
            slides: Slides::default(),
            lock_masters,
            kept,
            renewals: Renewals::default(),
            gates: Gates::default(),
            eviction: EvictionCheck::default(),
            closed: AtomicBool::new(false),
            tuning,
        })))
    }

    /// The prefix of all keys.
    #[must_use]
    pub fn namespace(&self) -> &str {
        self.0.namespace.as_str()
    }

    /// An entry by key, to be loaded through a closure.
    pub fn entry(&self, key: impl Into<Key>) -> Entry {
        Entry::new(self.clone(), &PROGRAMMATIC, &key.into())
    }

    /// The same, counted as calls of `function`, and invalidated with it.
    pub fn entry_of(&self, function: &'static Function, key: impl Into<Key>) -> Entry {
        Entry::new(self.clone(), function, &key.into())
    }

    /// Invalidates one entry, and those made from it. See
    /// [`CachedCall::invalidate`](crate::CachedCall::invalidate) for what holds once it has returned.
    ///
    /// # Errors
    /// When the server cannot be reached: the invalidation is then kept, and repeated before this process reads anything
    /// again. The same holds for all invalidations below.
    ///
    /// # Cancel safety
    /// Dropped once it has begun, it is kept as well, as all below are but [`invalidate_matching`](Self::invalidate_matching).
    pub async fn invalidate(&self, key: impl Into<Key>) -> Result<()> {
        let key = key.into();
        let key = self.space().entry(|writer| writer.encoded(key.as_bytes()));
        self.invalidation(|invalidation| invalidation.key(&key)).await
    }

    /// Invalidates every entry with a tag, in constant time however many there are.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_tag(&self, tag: impl Into<Key>) -> Result<()> {
        let tag = tag.into();
        self.invalidation(|invalidation| invalidation.tag(|writer| writer.encoded(tag.as_bytes()))).await
    }

    /// Invalidates every entry whose key matches, and those made from them. Scans the keys of the servers in small steps,
    /// so its time grows with their number (a second for a million); prefer tags. The [`Sweep`] can tell how far it has
    /// come, and dropping it ends it.
    ///
    /// # Errors
    /// [`ErrorKind::Pattern`] if the pattern would match everything; else as [`invalidate`](Self::invalidate).
    pub fn invalidate_matching(&self, pattern: &Pattern) -> Sweep<'static> {
        let mut invalidation = Invalidation::new(&PROGRAMMATIC, self.clone());
        invalidation.matching(pattern);
        Sweep::new(invalidation)
    }

    /// Invalidates every entry of a function, in constant time.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub async fn invalidate_function(&self, function: &'static Function) -> Result<()> {
        let stamp = function.stamp(self.space());
        let mut invalidation = Invalidation::new(function, self.clone());
        invalidation.stamp(stamp);
        invalidation.apply().await
    }

    /// Invalidates everything in this namespace, in constant time. Memory is freed as entries expire or are replaced.
    /// Locks are not touched.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    pub async fn clear(&self) -> Result<()> {
        self.invalidation(|invalidation| invalidation.stamp(self.space().all().clone())).await
    }

    /// The managed connection, for every command of the Redis client; `None` on the embedded store.
    #[must_use]
    pub fn connection(&self) -> Option<Connection> {
        self.0.store.connection().cloned()
    }

    /// How the store is, asked of every server. Takes two seconds at most, also where servers hang.
    pub async fn health(&self) -> Health {
        match &self.0.store {
            AnyStore::Memory(_) => Health::embedded(),
            AnyStore::Redis(store) => store.connection().health().await,
            AnyStore::Unusable(store) => Health::unusable(store.error().to_string()),
        }
    }

    async fn invalidation(&self, fill: impl FnOnce(&mut Invalidation)) -> Result<()> {
        let mut invalidation = Invalidation::new(&PROGRAMMATIC, self.clone());
        fill(&mut invalidation);
        invalidation.apply().await
    }

    /// Carries out what belongs here; keeps it if that fails.
    pub(crate) async fn carry_out(&self, targets: &[Target], report: &Report<'_>) -> Result<()> {
        if self.rules().keep_invalidations && self.0.store.connection().is_some_and(Connection::replays) {
            self.0.kept.remember(targets, self.space().all());
            ensure_keeper(self);
        }
        let outcome = carry_out(self.store(), targets, report).await;
        self.forget_matching(targets);
        if let Err(error) = &outcome {
            self.keep_invalidations(targets.to_vec(), error);
        }
        outcome
    }

    /// Keeps what failed that way, to be repeated.
    pub(crate) fn keep_invalidations(&self, targets: Vec<Target>, error: &Error) {
        if self.rules().keep_invalidations {
            keep(self, targets, error);
        }
    }

    /// Drops what this process has at hand of keys that match: the store may have had nothing of them any more. Single keys
    /// are dropped as they are changed.
    fn forget_matching(&self, targets: &[Target]) {
        let Some(local) = self.local() else { return };
        for target in targets {
            if let Target::Matching(pattern) = target {
                local.changed_where(|key| pattern.matches(entry_of(key)));
            }
        }
    }

    /// Repeats invalidations that failed. Nothing may be read before.
    pub(crate) async fn repeat_kept_invalidations(&self, key: &Key) -> Result<()> {
        let told = |connection: &Connection| !connection.has_strangers();
        if self.0.kept.is_empty() && self.0.store.connection().is_none_or(told) {
            return Ok(());
        }
        // Nothing is read from the servers while they are down.
        if self.0.store.is_sheltered(key) {
            return Ok(());
        }
        ensure_keeper(self);
        let repeated = Box::pin(self.0.kept.repeat(self.store()));
        self.in_time(None, "repeat invalidations", std::pin::pin!(repeated)).await
    }

    /// Whether nothing stands between a call and the store: no shutdown, and no invalidation that waits to be repeated.
    pub(crate) fn is_undisturbed(&self) -> bool {
        let told = |connection: &Connection| !connection.has_strangers();
        !self.0.closed.load(Ordering::Acquire)
            && self.0.kept.is_empty()
            && self.0.store.connection().is_none_or(told)
    }

    /// Bounds an operation of a cached function. Takes it pinned, so that the caller's future holds it once.
    pub(crate) async fn in_time<T>(
        &self,
        limit: Option<Duration>,
        operation: &'static str,
        work: Pin<&mut impl Future<Output = Result<T>>>,
    ) -> Result<T> {
        // The embedded store answers without waiting, so it needs no timer.
        if matches!(self.0.store, AnyStore::Memory(_)) {
            return work.await;
        }
        let limit = limit.unwrap_or(self.0.tuning.cache_timeout);
        clock::within(limit, work).await.unwrap_or_else(|| {
            Err(Error::new(ErrorKind::Timeout, operation).with("limit", format_args!("{limit:?}")))
        })
    }

    pub(crate) fn space(&self) -> &KeySpace {
        &self.0.space
    }

    pub(crate) fn store(&self) -> &AnyStore {
        &self.0.store
    }

    /// What this process has at hand, where the store tells of changes at all.
    pub(crate) fn local(&self) -> Option<&Arc<Local>> {
        self.0.local.as_ref()
    }

    pub(crate) fn flights(&self) -> &Flights {
        &self.0.flights
    }

    pub(crate) fn attempts(&self) -> &Attempts {
        &self.0.attempts
    }

    pub(crate) fn slides(&self) -> &Slides {
        &self.0.slides
    }

    /// Whether entries that were written under other servers are misses.
    pub(crate) fn distrusts(&self) -> bool {
        self.0.store.connection().is_some_and(Connection::distrusts)
    }

    fn close(&self) {
        self.0.closed.store(true, Ordering::Release);
    }

    /// # Errors
    /// [`ErrorKind::Unavailable`] once a shutdown has begun.
    pub(crate) fn open(&self, operation: &'static str) -> Result<()> {
        if self.0.closed.load(Ordering::Acquire) {
            return Err(Error::new(ErrorKind::Unavailable, operation).with("fault", "shut down"));
        }
        Ok(())
    }

    pub(crate) fn kept(&self) -> &Kept {
        &self.0.kept
    }

    pub(crate) fn rules(&self) -> Rules {
        self.0.tuning.rules
    }

    pub(crate) fn lease_life(&self) -> Duration {
        self.0.tuning.lease_life
    }

    #[expect(clippy::unused_self, reason = "becomes a setting of the instance when one is needed")]
    pub(crate) fn hold_life(&self) -> Duration {
        crate::invalidation::HOLD_LIFE
    }

    /// Whether that is this one.
    pub(crate) fn is(&self, other: &WeakKeylatch) -> bool {
        std::ptr::eq(Arc::as_ptr(&self.0), other.0.as_ptr())
    }

    pub(crate) fn downgrade(&self) -> WeakKeylatch {
        WeakKeylatch(Arc::downgrade(&self.0))
    }

    /// Tells instances apart.
    pub(crate) fn id(&self) -> usize {
        Arc::as_ptr(&self.0).addr()
    }
}

/// What the process will have at hand. Under `distrust` nothing: the servers' identity changes without anybody telling.
fn local(store: &AnyStore, tuning: Tuning) -> Option<Arc<Local>> {
    let ticks = match store {
        AnyStore::Memory(_) => Ticks::exact(),
        AnyStore::Redis(redis) if !redis.connection().distrusts() => Ticks::coarse(),
        AnyStore::Redis(_) | AnyStore::Unusable(_) => return None,
    };
    let local = Local::new(tuning.local_memory_limit, ticks, tuning.rules);
    store.tell(Arc::clone(&local));
    Some(local)
}

impl AsRef<Self> for Keylatch {
    fn as_ref(&self) -> &Self {
        self
    }
}

impl fmt::Debug for Keylatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = match &self.0.store {
            AnyStore::Memory(_) => "embedded",
            AnyStore::Redis(_) => "redis",
            AnyStore::Unusable(_) => "unusable",
        };
        f.debug_struct("Keylatch")
            .field("namespace", &self.namespace())
            .field("store", &store)
            .finish_non_exhaustive()
    }
}
