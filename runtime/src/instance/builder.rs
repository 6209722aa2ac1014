//! Configuration by code.

use std::fmt;
use std::time::Duration;

use super::{AfterFailover, Keylatch, Rules, Settings};
use crate::connection::{Address, Connection, ConnectionConfig, Limits, Tls, Topology};
use crate::error::{Error, ErrorKind, Result};
use crate::invalidation::Kept;
use crate::key::Namespace;
use crate::store::{AnyStore, MemoryStore, RedisStore, ShelteredStore};
use crate::telemetry;

/// Settings of a [`Keylatch`]. Without [`redis_url`](Self::redis_url) it is the embedded store.
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
#[derive(Clone)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    redis_url: Option<(String, &'static str)>,
    namespace: Option<(String, &'static str)>,
    memory_limit: u64,
    connect_timeout: Duration,
    command_timeout: Duration,
    settings: Settings,
}

impl Default for Builder {
    fn default() -> Self {
        Self {
            redis_url: None,
            namespace: None,
            memory_limit: Self::DEFAULT_MEMORY_LIMIT,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            settings: Self::default_settings(),
        }
    }
}

impl Builder {
    /// 256 MiB.
    pub(super) const DEFAULT_MEMORY_LIMIT: u64 = 256 << 20;

    pub(super) const fn default_settings() -> Settings {
        Settings {
            cache_timeout: Duration::from_millis(500),
            lease_life: Duration::from_secs(3),
            rules: Rules { check_fills: true },
        }
    }

    /// The server: `redis://[user][:password]@host[:port][/db]`, or `unix:///path`. Never shown by `Debug` or errors.
    pub fn redis_url(self, url: impl Into<String>) -> Self {
        self.redis_url_from(url.into(), "redis_url")
    }

    pub(super) fn redis_url_from(mut self, url: String, setting: &'static str) -> Self {
        self.redis_url = Some((url, setting));
        self
    }

    /// What all keys begin with: 1 to 64 letters, digits or `:` `.` `_` `/` `-`. Default `keylatch`, with a warning on a
    /// real Redis, where applications that share a namespace share entries.
    pub fn namespace(self, namespace: impl Into<String>) -> Self {
        self.namespace_from(namespace.into(), "namespace")
    }

    pub(super) fn namespace_from(mut self, namespace: String, setting: &'static str) -> Self {
        self.namespace = Some((namespace, setting));
        self
    }

    /// Bytes that the embedded store may hold, keys and records included. Default 256 MiB. What does not fit is evicted;
    /// locks never are.
    pub fn memory_limit(mut self, bytes: u64) -> Self {
        self.memory_limit = bytes;
        self
    }

    /// Limit for making a connection, from the dial to the end of the handshake. Default 10 s.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Limit of one command, the wait for a connection included. Default 5 s.
    pub fn command_timeout(mut self, limit: Duration) -> Self {
        self.command_timeout = limit;
        self
    }

    /// Limit of one look-up or claim of a cached function, after which its body answers. Default 500 ms; a function's own
    /// `timeout` comes first.
    pub fn cache_timeout(mut self, limit: Duration) -> Self {
        self.settings.cache_timeout = limit;
        self
    }

    /// How long a load keeps others waiting after its process has died. A living one renews its lease. Default 3 s.
    pub fn lease(mut self, life: Duration) -> Self {
        self.settings.lease_life = life;
        self
    }

    /// Breaks the rule that keeps stale loads out, so that a test can show it would notice.
    #[cfg(feature = "test-util")]
    pub fn without_fill_check(mut self) -> Self {
        self.settings.rules.check_fills = false;
        self
    }

    /// The `Keylatch`. Does not connect yet: the first command does.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], naming the setting.
    pub fn build(self) -> Result<Keylatch> {
        for (limit, setting) in [
            (self.connect_timeout, "connect_timeout"),
            (self.command_timeout, "command_timeout"),
            (self.settings.cache_timeout, "cache_timeout"),
            (self.settings.lease_life, "lease"),
        ] {
            if limit < Duration::from_millis(1) {
                return Err(Error::new(ErrorKind::Configuration, "configure")
                    .with("setting", setting)
                    .with("fault", "less than a millisecond"));
            }
        }
        let namespace = match &self.namespace {
            Some((name, setting)) => Namespace::new(name, setting)?,
            None => Namespace::by_default(),
        };
        let kept = Kept::default();
        let store = match &self.redis_url {
            None => AnyStore::Memory(MemoryStore::new(self.memory_limit)),
            Some((url, setting)) => {
                let address = Address::parse(url, setting, Tls::default())?;
                let limits = Limits {
                    connect_timeout: self.connect_timeout,
                    command_timeout: self.command_timeout,
                    ..Limits::default()
                };
                let config = ConnectionConfig {
                    topology: Topology::Single(address),
                    limits,
                    after_failover: AfterFailover::Replay,
                };
                if self.namespace.is_none() {
                    telemetry::namespace_by_default(namespace.as_str());
                }
                {
                    let redis = RedisStore::new(Connection::new(config)?);
                    AnyStore::Redis(ShelteredStore::new(redis, 100 << 20, kept.pending()))
                }
            }
        };
        Ok(Keylatch::assemble(namespace, store, kept, self.settings))
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("redis_url", &self.redis_url.as_ref().map(|_| "[hidden]"))
            .field("namespace", &self.namespace.as_ref().map(|(name, _)| name))
            .field("memory_limit", &self.memory_limit)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .field("settings", &self.settings)
            .finish()
    }
}
