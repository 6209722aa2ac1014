//! Configuration by code.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Deserializer};

use super::settings::names::{self, Origins, Setting, Writer};
use super::settings::{AfterFailover, Provider, Resolved, Settings, Store};
use super::{Keylatch, Rules};
use crate::connection::{Connection, Secret};
use crate::error::Result;
use crate::invalidation::Kept;
use crate::key::Namespace;
use crate::store::{AnyStore, MemoryStore, RedisStore, ShelteredStore};
use crate::telemetry;

/// [`Settings`] by code: each method sets the field, or the few fields, of its name. Without any server it is the embedded
/// store. It can begin with [settings](Self::from_settings) from elsewhere, and is itself deserialized as they are.
///
/// ```
/// use std::time::Duration;
/// use keylatch::Keylatch;
///
/// let cache = Keylatch::builder()
///     .redis_url("redis://localhost:6379/0")
///     .namespace("shop")
///     .command_timeout(Duration::from_millis(500))
///     .build()?;
/// # Ok::<(), keylatch::Error>(())
/// ```
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    settings: Settings,
    rules: Rules,
}

impl Default for Builder {
    fn default() -> Self {
        Self::from_settings(Settings { origins: Origins::by(Writer::Builder), ..Settings::default() })
    }
}

impl From<Settings> for Builder {
    fn from(settings: Settings) -> Self {
        Self::from_settings(settings)
    }
}

impl<'de> Deserialize<'de> for Builder {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        Settings::deserialize(from).map(Self::from_settings)
    }
}

impl Builder {
    /// Begins with settings, from the environment or from a loader of yours, to be changed by code.
    ///
    /// ```
    /// use keylatch::{Builder, Settings};
    ///
    /// let cache = Builder::from_settings(Settings::from_env()?).namespace("shop").build()?;
    /// # Ok::<(), keylatch::Error>(())
    /// ```
    pub fn from_settings(settings: Settings) -> Self {
        Self { settings, rules: Rules::default() }
    }

    /// The server: `redis://[user][:password]@host[:port][/db]`, `rediss://..` for TLS, or `unix:///path`. `Debug` and
    /// errors show it without the login. See [`Settings::url`].
    pub fn redis_url(self, url: impl Into<String>) -> Self {
        self.set(&names::URL, |settings| settings.url = Some(url.into()))
    }

    /// Host name or IP address of the server, where there is no URL.
    pub fn host(self, host: impl Into<String>) -> Self {
        self.set(&names::HOST, |settings| settings.host = Some(host.into()))
    }

    /// Its port. Default 6379.
    pub fn port(self, port: u16) -> Self {
        self.set(&names::PORT, |settings| settings.port = Some(port))
    }

    /// ACL user; needs a password. See [`Settings::username`] for where it is used.
    pub fn username(self, username: impl Into<String>) -> Self {
        self.set(&names::USERNAME, |settings| settings.username = Some(username.into()))
    }

    /// The password as it is, not percent-encoded.
    pub fn password(self, password: impl Into<Secret>) -> Self {
        self.set(&names::PASSWORD, |settings| settings.password = Some(password.into()))
    }

    /// Database number. Default 0.
    pub fn db(self, database: u32) -> Self {
        self.set(&names::DB, |settings| settings.db = Some(database))
    }

    /// Whether servers without a URL's scheme are reached by TLS. Default: no. Needs the feature `tls`.
    pub fn tls(self, is_on: bool) -> Self {
        self.set(&names::TLS, |settings| settings.tls = Some(is_on))
    }

    /// PEM file of the certificates to trust instead of the system's. Not over REST.
    pub fn tls_ca_file(self, path: impl Into<PathBuf>) -> Self {
        self.set(&names::TLS_CA_FILE, |settings| settings.tls_ca_file = Some(path.into()))
    }

    /// PEM file of our own certificate chain, for servers that ask for one; needs [`tls_key_file`](Self::tls_key_file).
    pub fn tls_cert_file(self, path: impl Into<PathBuf>) -> Self {
        self.set(&names::TLS_CERT_FILE, |settings| settings.tls_cert_file = Some(path.into()))
    }

    /// PEM file of the private key of [`tls_cert_file`](Self::tls_cert_file).
    pub fn tls_key_file(self, path: impl Into<PathBuf>) -> Self {
        self.set(&names::TLS_KEY_FILE, |settings| settings.tls_key_file = Some(path.into()))
    }

    /// What all keys begin with: 1 to 64 letters, digits or `:` `.` `_` `/` `-`. Default `keylatch`, with a warning on a
    /// real Redis, where applications that share a namespace share entries.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.set(&names::KEY_PREFIX, |settings| settings.key_prefix = Some(namespace.into()))
    }

    /// Multiplexed connections to each server, 1 to 1024. Default 5.
    pub fn pool_size(self, connections: usize) -> Self {
        self.set(&names::POOL_SIZE, |settings| settings.pool_size = connections)
    }

    /// A cluster, by some of its nodes: `host:port` or URLs. With none, the node is the one of
    /// [`redis_url`](Self::redis_url) or [`host`](Self::host).
    pub fn cluster<N: Into<String>>(self, nodes: impl IntoIterator<Item = N>) -> Self {
        self.set(&names::CLUSTER_NODES, |settings| settings.cluster_nodes = texts(nodes))
            .set(&names::CLUSTER_MODE, |settings| settings.cluster_mode = Some(true))
    }

    /// Reads go to a replica. With no URLs, the primary or the sentinels name the replicas; else they are `host:port` or
    /// URLs, and those without a login have the primary's.
    pub fn read_replicas<U: Into<String>>(self, urls: impl IntoIterator<Item = U>) -> Self {
        self.set(&names::READ_REPLICA_URLS, |settings| settings.read_replica_urls = texts(urls))
            .set(&names::READ_REPLICAS, |settings| settings.read_replicas = Some(true))
    }

    /// The primary that sentinels call `master`. The sentinels are `host:port` or URLs with their own login; port 26379 where
    /// there is none. The primary's login, database and TLS are those of the other methods.
    pub fn sentinel<U: Into<String>>(
        self,
        urls: impl IntoIterator<Item = U>,
        master: impl Into<String>,
    ) -> Self {
        self.set(&names::SENTINEL_URLS, |settings| settings.sentinel_urls = texts(urls))
            .set(&names::SENTINEL_MASTER, |settings| settings.sentinel_master = Some(master.into()))
    }

    /// Independent masters, `host:port` or URLs with their own login, an odd number: three or five. An even
    /// number is an error: no more of them may fail than of one master fewer. From then on the locks of
    /// `#[with_lock]` and [`Keylatch::lock`] are on them, and held while a majority says so (Redlock); entries stay where they
    /// are. Each master is also there to be addressed by itself: [`Keylatch::lock_masters`].
    ///
    /// What is assumed: clocks of clients and servers differ in speed by less than 1 % over a lock's `ttl`, at most a minority of
    /// the servers' clocks is set forward, and at most a minority loses its data within a `ttl`. A resource that checks
    /// [fencing tokens](crate::FencingToken) is safe without the first two.
    pub fn lock_urls<U: Into<String>>(self, urls: impl IntoIterator<Item = U>) -> Self {
        self.set(&names::LOCK_URLS, |settings| settings.lock_urls = texts(urls))
    }

    /// Upstash, by its REST interface, whatever else is set. Needs the feature `upstash`.
    pub fn upstash(self, url: impl Into<String>, token: impl Into<Secret>) -> Self {
        self.set(&names::REST_URL, |settings| settings.upstash_redis_rest_url = Some(url.into()))
            .set(&names::REST_TOKEN, |settings| settings.upstash_redis_rest_token = Some(token.into()))
            .provider(Provider::Upstash)
    }

    /// Which kind of server is used where both are configured.
    pub fn provider(self, provider: Provider) -> Self {
        self.set(&names::PROVIDER, |settings| settings.provider = Some(provider))
    }

    /// Limit for making a connection, from the dial to the end of the handshake. Default 10 s.
    pub fn connect_timeout(self, limit: Duration) -> Self {
        self.set(&names::CONNECT_TIMEOUT, |settings| settings.connect_timeout = limit)
    }

    /// Limit of one command, with the wait for a connection and all retries. Default 5 s.
    pub fn command_timeout(self, limit: Duration) -> Self {
        self.set(&names::COMMAND_TIMEOUT, |settings| settings.command_timeout = limit)
    }

    /// How often a command that is safe to repeat is sent again. Default 3.
    pub fn max_retries(self, retries: u32) -> Self {
        self.set(&names::MAX_RETRIES, |settings| settings.max_retries = retries)
    }

    /// Whether concurrent reads travel in one command. Default true.
    pub fn enable_auto_pipelining(self, is_on: bool) -> Self {
        self.set(&names::ENABLE_AUTO_PIPELINING, |settings| settings.enable_auto_pipelining = is_on)
    }

    /// Bytes that the server is asked to limit its memory to. Default: it is not asked. Not over REST. See
    /// [`Settings::max_memory`].
    pub fn max_memory(self, bytes: u64) -> Self {
        self.set(&names::MAX_MEMORY, |settings| settings.max_memory = Some(bytes))
    }

    /// Bytes that the embedded store may hold, keys and records included. Default 256 MiB. What does not fit is evicted;
    /// locks never are.
    pub fn memory_limit(self, bytes: u64) -> Self {
        self.set(&names::MEMORY_LIMIT, |settings| settings.memory_limit = bytes)
    }

    /// Bytes of values that this process keeps in its memory beside the store. Default 64 MiB, 0 keeps none. See
    /// [`Settings::local_memory_limit`].
    pub fn local_memory_limit(self, bytes: u64) -> Self {
        self.set(&names::LOCAL_MEMORY_LIMIT, |settings| settings.local_memory_limit = bytes)
    }

    /// Bytes of what is computed while Redis is down that this process keeps for that time; 0 keeps nothing. Default
    /// 100 MiB.
    pub fn outage_memory_limit(self, bytes: u64) -> Self {
        self.set(&names::OUTAGE_MEMORY_LIMIT, |settings| settings.outage_memory_limit = bytes)
    }

    /// What is done before a server is read that is not the one it was. Default [`AfterFailover::Replay`].
    pub fn after_failover(self, what: AfterFailover) -> Self {
        self.set(&names::AFTER_FAILOVER, |settings| settings.after_failover = what)
    }

    /// How far back invalidations are repeated by [`AfterFailover::Replay`]. Default 30 s.
    pub fn failover_replay(self, back: Duration) -> Self {
        self.set(&names::FAILOVER_REPLAY, |settings| settings.failover_replay = back)
    }

    /// Limit of one look-up or claim of a cached function, after which its body answers. Default 500 ms; a function's own
    /// `timeout` comes first.
    pub fn cache_timeout(self, limit: Duration) -> Self {
        self.set(&names::CACHE_TIMEOUT, |settings| settings.cache_timeout = limit)
    }

    /// How long a load keeps others waiting after its process has died. A living one renews its lease. Default 3 s.
    pub fn lease(self, life: Duration) -> Self {
        self.set(&names::LEASE, |settings| settings.lease = life)
    }

    /// The share of failed commands, above 0 and at most 1, from which on no more are sent for a while. Default 0.5.
    pub fn breaker_failure_rate(self, share: f64) -> Self {
        self.set(&names::BREAKER_FAILURE_RATE, |settings| settings.breaker_failure_rate = share)
    }

    /// Commands within the window below which that share says nothing. Default 20.
    pub fn breaker_minimum_calls(self, calls: u32) -> Self {
        self.set(&names::BREAKER_MINIMUM_CALLS, |settings| settings.breaker_minimum_calls = calls)
    }

    /// The time over which that share is taken. Default 10 s.
    pub fn breaker_window(self, window: Duration) -> Self {
        self.set(&names::BREAKER_WINDOW, |settings| settings.breaker_window = window)
    }

    /// Locks are extended by a thread with a small runtime and a connection of its own, so that bodies which block the
    /// threads of their runtime keep their locks. Default: by a task of the runtime that took the lock. On the embedded store
    /// there is nothing to be asked, and this changes nothing. Locks over [several masters](Self::lock_urls) are extended by
    /// the runtime that took them: [`build`](Self::build) refuses the two together.
    pub fn lock_thread(self) -> Self {
        self.set(&names::LOCK_THREAD, |settings| settings.lock_thread = true)
    }

    /// Breaks the rule that keeps stale loads out, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_fill_check(mut self) -> Self {
        self.rules.check_fills = false;
        self
    }

    /// Breaks the rule that keeps late answers out of the memory of the process, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_reservations(mut self) -> Self {
        self.rules.reserve = false;
        self
    }

    /// Breaks the rule that what is kept in memory goes with the connection over which changes are told, so that a test can show it
    /// would notice.
    #[cfg(feature = "test-util")]
    pub fn without_forgetting(mut self) -> Self {
        self.rules.forget = false;
        self
    }

    /// Frees a lock of one master whoever holds it, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_lock_value_check(mut self) -> Self {
        self.rules.check_lock_values = false;
        self
    }

    /// Keeps what was found so much later in the memory of the process, so that more can happen before.
    #[cfg(feature = "test-util")]
    pub fn with_late_keeping(mut self, later: Duration) -> Self {
        self.rules.keep_later = later;
        self
    }

    /// Breaks the rule that repeats invalidations that were lost, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_kept_invalidations(mut self) -> Self {
        self.rules.keep_invalidations = false;
        self
    }

    /// Breaks the rule that one process renews an entry, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_refresh_claims(mut self) -> Self {
        self.rules.claim_refreshes = false;
        self
    }

    /// Breaks the rule that a lock master that was restarted does not vote for a while, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_rest_after_restart(mut self) -> Self {
        self.rules.rest_after_restart = false;
        self
    }

    /// The `Keylatch`. Does not connect yet: the first command does.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): one error with every fault, each with the setting and either a good example or what to
    /// do, never with the value. The setting is called by its method here, or by its variable or field if it came from
    /// [settings](Self::from_settings). Also when settings contradict each other, and when a file cannot be read.
    pub fn build(self) -> Result<Keylatch> {
        assemble(self.resolve()?)
    }

    pub(super) fn resolve(&self) -> Result<Resolved> {
        self.settings.resolve(self.rules, self.settings.faults())
    }

    fn set(mut self, setting: &'static Setting, change: impl FnOnce(&mut Settings)) -> Self {
        change(&mut self.settings);
        self.settings.origins.built(setting);
        self
    }
}

fn texts<T: Into<String>>(texts: impl IntoIterator<Item = T>) -> Vec<String> {
    texts.into_iter().map(Into::into).collect()
}

pub(super) fn assemble(resolved: Resolved) -> Result<Keylatch> {
    let lock_masters = resolved.lock_masters.into_iter().map(Connection::new).collect::<Result<_>>()?;
    let kept = Kept::new(resolved.tuning.failover_replay);
    let mut for_locks = None;
    let store = match resolved.store {
        Store::Embedded { limit } => AnyStore::Memory(MemoryStore::new(limit)),
        Store::Remote(config) => {
            for_locks = resolved.lock_thread.then(|| config.clone());
            let connection = Connection::new(*config)?;
            if resolved.namespace.is_none() {
                telemetry::namespace_by_default(Namespace::by_default().as_str());
            }
            let (redis, limit) = (RedisStore::new(connection), resolved.tuning.outage_memory_limit);
            AnyStore::Redis(Box::new(ShelteredStore::new(redis, limit, kept.pending())))
        }
    };
    let namespace = resolved.namespace.unwrap_or_else(Namespace::by_default);
    let keylatch = Keylatch::assemble(namespace, store, lock_masters, kept, resolved.tuning);
    if let Some(mut config) = for_locks {
        // One connection, dialled when the first lock is extended.
        config.limits.pool_size = 1;
        keylatch.extend_locks_by_a_thread(Connection::new(*config)?)?;
    }
    Ok(keylatch)
}
