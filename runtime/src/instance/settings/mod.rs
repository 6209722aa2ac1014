//! Everything that can be configured: as it is written ([`Settings`]), and as the rest uses it ([`Resolved`]).

mod certificates;
mod de;
mod fault;
pub(super) mod names;
mod resolve;
mod rest;
mod servers;
mod shown;
pub(super) mod text;
mod timings;

#[cfg(test)]
mod tests;

pub(super) use fault::Faults;
pub(crate) use resolve::{Resolved, Store};

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::{Rules, env};
use crate::connection::Secret;
use crate::error::Result;
use names::Origins;

/// Everything that the environment can say, for those who load their configuration themselves: any loader that speaks
/// serde fills it, and [`Keylatch::from_settings`](crate::Keylatch::from_settings) or
/// [`Builder::from_settings`](crate::Builder::from_settings) uses it.
///
/// ```
/// let settings: keylatch::Settings = serde_json::from_str(
///     r#"{
///         "url": "redis://localhost:6379/0",
///         "key_prefix": "shop-production",
///         "command_timeout": "500ms",
///         "memory_limit": "64mb"
///     }"#,
/// )?;
/// let cache = keylatch::Keylatch::from_settings(settings)?;
/// assert_eq!(cache.namespace(), "shop-production");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// What is left out has its default; a name that is none of these is an error. Times are text such as `"5s"`, `"250ms"` or
/// `"1h 30m"`, or a number of milliseconds. Sizes are text such as `"256mb"`, with Redis's units (`kb` is 1024 bytes, `k`
/// 1000), or a number of bytes. Lists are lists, or text with commas. `Debug` shows no password and no token, neither
/// those inside URLs.
///
/// With nothing set there is no server: the embedded store of this process serves.
#[derive(Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// `redis://[user][:password]@host[:port][/db]`, `rediss://..` for TLS, or `unix:///path[?db=..&user=..&pass=..]`.
    /// Special characters of a password are percent-encoded. Contradicts [`host`](Self::host) and [`port`](Self::port);
    /// [`username`](Self::username), [`password`](Self::password) and [`db`](Self::db) add what the URL does not say.
    /// With [`cluster_mode`](Self::cluster_mode), several with commas. With Sentinel only its login, its database and its
    /// TLS matter. `REDIS_URL`.
    pub url: Option<String>,
    /// Host name or IP address of the server, where there is no URL. Default `localhost` if a [`port`](Self::port) is set.
    /// `REDIS_HOST`.
    pub host: Option<String>,
    /// Default 6379. `REDIS_PORT`.
    pub port: Option<u16>,
    /// ACL user; needs a password. Used for the server, its replicas, the nodes of a cluster and the servers that Sentinel
    /// names, where their URLs have no user; never for sentinels and lock masters. `REDIS_USERNAME`.
    pub username: Option<String>,
    /// The password as it is, not percent-encoded. Used where [`username`](Self::username) is. `REDIS_PASSWORD`.
    #[serde(deserialize_with = "de::secret")]
    pub password: Option<Secret>,
    /// Database number. Default 0, which is the only one of a cluster. `REDIS_DB`.
    pub db: Option<u32>,
    /// Whether servers that are given without a URL's scheme are reached by TLS; a scheme must not say otherwise, that of
    /// a sentinel excepted. Default: no. Needs the feature `tls`. `REDIS_TLS`.
    pub tls: Option<bool>,
    /// PEM file of the certificates to trust instead of the system's, where servers are reached by TLS; not over REST.
    /// `REDIS_TLS_CA_FILE`.
    pub tls_ca_file: Option<PathBuf>,
    /// PEM file of our own certificate chain, for servers that ask for one; needs [`tls_key_file`](Self::tls_key_file).
    /// `REDIS_TLS_CERT_FILE`.
    pub tls_cert_file: Option<PathBuf>,
    /// PEM file of the private key of [`tls_cert_file`](Self::tls_cert_file). `REDIS_TLS_KEY_FILE`.
    pub tls_key_file: Option<PathBuf>,
    /// What all keys begin with: 1 to 64 letters, digits or `:` `.` `_` `/` `-`. Default `keylatch`, with a warning on a
    /// real Redis, where applications that share a prefix share entries. `REDIS_KEY_PREFIX`.
    pub key_prefix: Option<String>,
    /// Multiplexed connections to each server, 1 to 1024. Default 5. `REDIS_POOL_SIZE`.
    pub pool_size: usize,
    /// Whether the server is a cluster. Default: if there are [`cluster_nodes`](Self::cluster_nodes). `REDIS_CLUSTER_MODE`.
    pub cluster_mode: Option<bool>,
    /// Some nodes of the cluster, which name the others: `host:port` or URLs. Default: the server of
    /// [`url`](Self::url) or [`host`](Self::host). `REDIS_CLUSTER_NODES`, with commas.
    #[serde(deserialize_with = "de::list")]
    pub cluster_nodes: Vec<String>,
    /// Whether replicas are read from. Default: if there are [`read_replica_urls`](Self::read_replica_urls). Not with a
    /// cluster. `REDIS_READ_REPLICAS`.
    pub read_replicas: Option<bool>,
    /// The replicas, `host:port` or URLs; those without a login have the primary's. Default: the primary, or the sentinels,
    /// name them. `REDIS_READ_REPLICA_URLS`, with commas.
    #[serde(deserialize_with = "de::list")]
    pub read_replica_urls: Vec<String>,
    /// The sentinels, `host:port` or URLs with their own login; port 26379 where there is none.
    /// Needs [`sentinel_master`](Self::sentinel_master). `REDIS_SENTINEL_URLS`, with commas.
    #[serde(deserialize_with = "de::list")]
    pub sentinel_urls: Vec<String>,
    /// What the sentinels call the primary. `REDIS_SENTINEL_MASTER`.
    pub sentinel_master: Option<String>,
    /// Independent masters, `host:port` or URLs with their own login: a lock is held once most of them agree. Three, of which
    /// one may fail, or five, of which two may. An even number is an error: no more of them may fail than of one master fewer.
    /// A single one only keeps locks apart from entries. Default: locks are kept where entries are. `REDIS_LOCK_URLS`, with
    /// commas.
    #[serde(deserialize_with = "de::list")]
    pub lock_urls: Vec<String>,
    /// Limit for making a connection, from the dial to the end of the handshake. Default 10 s. `REDIS_CONNECT_TIMEOUT`.
    #[serde(deserialize_with = "de::duration")]
    pub connect_timeout: Duration,
    /// Limit of one command, with the wait for a connection and all retries. Default 5 s. `REDIS_COMMAND_TIMEOUT`.
    #[serde(deserialize_with = "de::duration")]
    pub command_timeout: Duration,
    /// How often a command that is safe to repeat is sent again. Default 3. `REDIS_MAX_RETRIES`.
    pub max_retries: u32,
    /// Whether concurrent reads travel in one command. Default true. `REDIS_ENABLE_AUTO_PIPELINING`.
    pub enable_auto_pipelining: bool,
    /// Bytes that the server is asked to limit its memory to (`maxmemory`) at the start; that it refuses is a warning.
    /// Default: it is not asked, since it may be shared, and what exceeds the limit is evicted or refused. Not over REST.
    /// `REDIS_MAX_MEMORY`.
    #[serde(deserialize_with = "de::optional_size")]
    pub max_memory: Option<u64>,
    /// Which of the two kinds of server is used; the settings of the other are then ignored. Default: the one that is
    /// configured, and it is an error to configure both. `REDIS_PROVIDER`.
    pub provider: Option<Provider>,
    /// Address of Upstash's REST interface. Needs the feature `upstash`. `UPSTASH_REDIS_REST_URL`.
    pub upstash_redis_rest_url: Option<String>,
    /// Its token. `UPSTASH_REDIS_REST_TOKEN`.
    #[serde(deserialize_with = "de::secret")]
    pub upstash_redis_rest_token: Option<Secret>,
    /// Bytes that the embedded store may hold, keys and records included; it serves where no server is configured. Default
    /// 256 MiB. `KEYLATCH_MEMORY_LIMIT`.
    #[serde(deserialize_with = "de::size")]
    pub memory_limit: u64,
    /// Bytes of values that this process keeps in its memory beside the store, over all functions together, keys and records
    /// included; 0 keeps none. Default 64 MiB. `KEYLATCH_LOCAL_MEMORY_LIMIT`.
    #[serde(deserialize_with = "de::size")]
    pub local_memory_limit: u64,
    /// Bytes of what is computed while Redis is down that this process keeps for that time; 0 keeps nothing. Default
    /// 100 MiB. `KEYLATCH_OUTAGE_MEMORY_LIMIT`.
    #[serde(deserialize_with = "de::size")]
    pub outage_memory_limit: u64,
    /// What is done before a server is read that is not the one it was. `KEYLATCH_AFTER_FAILOVER`.
    pub after_failover: AfterFailover,
    /// How far back invalidations are repeated by [`AfterFailover::Replay`]. Default 30 s. `KEYLATCH_FAILOVER_REPLAY`.
    #[serde(deserialize_with = "de::duration")]
    pub failover_replay: Duration,
    /// Limit of one look-up or claim of a cached function, after which its body answers; a function's own `timeout` comes
    /// first. Default 500 ms. `KEYLATCH_CACHE_TIMEOUT`.
    #[serde(deserialize_with = "de::duration")]
    pub cache_timeout: Duration,
    /// How long a load keeps others waiting after its process has died. A living one renews its lease. Default 3 s.
    /// `KEYLATCH_LEASE`.
    #[serde(deserialize_with = "de::duration")]
    pub lease: Duration,
    /// Whether locks are extended by a thread of their own; see [`Builder::lock_thread`](crate::Builder::lock_thread). Default
    /// false. Not with [`lock_urls`](Self::lock_urls). `KEYLATCH_LOCK_THREAD`.
    pub lock_thread: bool,
    /// The share of failed commands, above 0 and at most 1, from which on no more are sent for a while. Default 0.5.
    /// `KEYLATCH_BREAKER_FAILURE_RATE`.
    pub breaker_failure_rate: f64,
    /// Commands within the window below which the share says nothing. Default 20. `KEYLATCH_BREAKER_MINIMUM_CALLS`.
    pub breaker_minimum_calls: u32,
    /// The time over which the share is taken. Default 10 s. `KEYLATCH_BREAKER_WINDOW`.
    #[serde(deserialize_with = "de::duration")]
    pub breaker_window: Duration,
    #[serde(skip)]
    pub(super) origins: Origins,
}

/// The two kinds of server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Provider {
    /// `local`: an ordinary Redis, wherever it is; the embedded store if none is configured.
    Local,
    /// `upstash`: Upstash, by its REST interface.
    Upstash,
}

/// What is done before a server is read that is not the one it was: restarted, or replaced by a replica, it may have lost
/// the last invalidations, and serve what they removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum AfterFailover {
    /// `replay`: every process repeats its invalidations of the last [`failover_replay`](Settings::failover_replay).
    #[default]
    Replay,
    /// `distrust`: nothing that was stored before is read. Not over REST, where no server says which one it is.
    Distrust,
    /// `trust`: it is read at once, for servers that never lose what they acknowledged.
    Trust,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            url: None,
            host: None,
            port: None,
            username: None,
            password: None,
            db: None,
            tls: None,
            tls_ca_file: None,
            tls_cert_file: None,
            tls_key_file: None,
            key_prefix: None,
            pool_size: 5,
            cluster_mode: None,
            cluster_nodes: Vec::new(),
            read_replicas: None,
            read_replica_urls: Vec::new(),
            sentinel_urls: Vec::new(),
            sentinel_master: None,
            lock_urls: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            max_retries: 3,
            enable_auto_pipelining: true,
            max_memory: None,
            provider: None,
            upstash_redis_rest_url: None,
            upstash_redis_rest_token: None,
            memory_limit: 256 << 20,
            local_memory_limit: 64 << 20,
            outage_memory_limit: 100 << 20,
            after_failover: AfterFailover::default(),
            failover_replay: Duration::from_secs(30),
            cache_timeout: Duration::from_millis(500),
            lease: Duration::from_secs(3),
            lock_thread: false,
            breaker_failure_rate: 0.5,
            breaker_minimum_calls: 20,
            breaker_window: Duration::from_secs(10),
            origins: Origins::default(),
        }
    }
}

impl Settings {
    /// What the environment says. Each field's documentation ends with its variable. An empty variable is as good as none;
    /// spaces and quotes around a value are removed. A truth value is `true`, `yes`, `on`, `1` or their opposites.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`](crate::ErrorKind::Configuration): one error with every fault, each with its variable
    /// and either a good example or what to do, never with the value. Also when variables contradict each other, and when
    /// a file that one names cannot be read.
    pub fn from_env() -> Result<Self> {
        let (settings, faults) = env::read(env::process);
        settings.resolve(Rules::default(), faults)?;
        Ok(settings)
    }

    /// No faults so far.
    pub(super) fn faults(&self) -> Faults {
        Faults::new(self.origins.clone())
    }

    /// Checks everything, and reports it together with the faults found before.
    pub(super) fn resolve(&self, rules: Rules, faults: Faults) -> Result<Resolved> {
        resolve::resolve(self, rules, faults)
    }
}
