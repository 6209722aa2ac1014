//! What a connection needs to know: which servers there are, how long they may take, what to do when they fail.
//!
//! These are the checked settings; what a user writes, and where it comes from, is in `instance/settings`.

use std::fmt;
use std::time::Duration;

use redis::io::tcp::socket2::TcpKeepalive;
use redis::{ConnectionAddr, ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use super::breaker::BreakerLimits;
use super::tls::Tls;
use crate::error::{Error, ErrorKind, Result};
use crate::instance::AfterFailover;

/// The settings of one [`Connection`](super::Connection), checked.
#[derive(Debug, Clone)]
pub(crate) struct ConnectionConfig {
    pub(crate) topology: Topology,
    pub(crate) limits: Limits,
    pub(crate) after_failover: AfterFailover,
}

/// Which servers there are, and what part each plays.
#[derive(Debug, Clone)]
pub(crate) enum Topology {
    /// One server.
    Single(Address),
    /// A primary and its replicas; the primary names them where none is given.
    Replicas { primary: Address, replicas: Vec<Address> },
    /// The sentinels that know which server is the primary called `master`, and how to log in there.
    Sentinel { sentinels: Vec<Address>, master: String, template: Address, read_replicas: bool },
    /// Some nodes of a cluster, which name the others.
    Cluster { seeds: Vec<Address> },
    /// The REST interface of Upstash.
    #[cfg(feature = "upstash")]
    Rest { url: String, token: super::Secret },
}

/// Numbers that hold for every server of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Multiplexed connections to each server.
    pub(crate) pool_size: usize,
    /// From the dial to the end of the handshake.
    pub(crate) connect_timeout: Duration,
    /// One command, with the wait for a connection and all retries.
    pub(crate) command_timeout: Duration,
    /// How long a cached function waits for a read.
    pub(crate) patience: Duration,
    /// How often a command that is safe to repeat is sent again.
    pub(crate) max_retries: u32,
    /// Whether concurrent reads travel in one command.
    pub(crate) merge_reads: bool,
    /// When a server is not asked any more.
    pub(crate) breaker: BreakerLimits,
    /// What the server is asked to limit its memory to, in bytes.
    pub(crate) max_memory: Option<u64>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            pool_size: 5,
            connect_timeout: Duration::from_secs(10),
            command_timeout: Duration::from_secs(5),
            patience: Duration::from_millis(500),
            max_retries: 3,
            merge_reads: true,
            breaker: BreakerLimits::default(),
            max_memory: None,
        }
    }
}

/// Where one server is and how to log in. `Debug` and `Display` show the address, never the credentials.
#[derive(Clone)]
pub(crate) struct Address {
    info: ConnectionInfo,
    tls: Tls,
    text: String,
}

impl Address {
    /// Parses `redis://[user][:password]@host[:port][/db]`, `rediss://..` (TLS), `unix:///path` and the like. `setting` is
    /// what an error names.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub(crate) fn parse(url: &str, setting: &'static str, tls: Tls) -> Result<Self> {
        let bad = |fault: &'static str, remedy: &'static str| {
            Error::new(ErrorKind::Configuration, "configure")
                .with("setting", setting)
                .with("fault", fault)
                .remedy(remedy)
        };
        if is_tls(url) && !Tls::is_supported() {
            return Err(bad("TLS is not compiled in", "enable the feature `tls` of `keylatch`"));
        }
        // The client's own error may quote the URL, and so the password: it is left out.
        let info = url.trim().into_connection_info().map_err(|_| {
            bad(
                "not a Redis URL",
                "write for example `redis://user:password@localhost:6379/0` or `unix:///run/redis.sock`",
            )
        })?;
        Ok(Self::new(info, tls))
    }

    /// A server by its parts: no login, database 0.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`].
    pub(crate) fn tcp(host: &str, port: u16, is_secure: bool, tls: Tls) -> Result<Self> {
        let host = host.to_owned();
        let addr = if is_secure {
            ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None }
        } else {
            ConnectionAddr::Tcp(host, port)
        };
        let info = addr.into_connection_info().map_err(|error| {
            Error::new(ErrorKind::Configuration, "configure").with("fault", "not an address").because(error)
        })?;
        Ok(Self::new(info, tls))
    }

    fn new(info: ConnectionInfo, tls: Tls) -> Self {
        let text = info.addr().to_string();
        // RESP3 carries the pushes that wake those who wait for a key.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = info.tcp_settings().clone().set_nodelay(true).set_keepalive(keepalive());
        #[cfg(target_os = "linux")]
        let tcp = tcp.set_user_timeout(UNACKNOWLEDGED);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Self { info, tls, text }
    }

    /// Another server of the same kind: the same login and encryption, database and all, elsewhere.
    pub(crate) fn at(&self, host: &str, port: u16) -> Self {
        let addr = match self.info.addr() {
            ConnectionAddr::TcpTls { insecure, tls_params, .. } => ConnectionAddr::TcpTls {
                host: host.to_owned(),
                port,
                insecure: *insecure,
                tls_params: tls_params.clone(),
            },
            _ => ConnectionAddr::Tcp(host.to_owned(), port),
        };
        Self { text: addr.to_string(), info: self.info.clone().set_addr(addr), tls: self.tls.clone() }
    }

    /// The same server with another user or password.
    pub(crate) fn with_login(mut self, user: Option<&str>, password: Option<&str>) -> Self {
        let mut settings = self.info.redis_settings().clone();
        if let Some(user) = user {
            settings = settings.set_username(user);
        }
        if let Some(password) = password {
            settings = settings.set_password(password);
        }
        self.info = self.info.set_redis_settings(settings);
        self
    }

    /// The same server with the user and the password of another.
    pub(crate) fn with_login_of(self, other: &Self) -> Self {
        let settings = other.info.redis_settings();
        self.with_login(settings.username(), settings.password())
    }

    /// Another database of the same server.
    pub(crate) fn with_database(mut self, database: i64) -> Self {
        let settings = self.info.redis_settings().clone().set_db(database);
        self.info = self.info.set_redis_settings(settings);
        self
    }

    /// User and password.
    #[cfg(test)]
    pub(crate) fn login(&self) -> (Option<&str>, Option<&str>) {
        let settings = self.info.redis_settings();
        (settings.username(), settings.password())
    }

    #[cfg(all(test, feature = "tls"))]
    pub(crate) fn is_secure(&self) -> bool {
        matches!(self.info.addr(), ConnectionAddr::TcpTls { .. })
    }

    /// The host, where the address has one.
    pub(crate) fn host(&self) -> Option<&str> {
        match self.info.addr() {
            ConnectionAddr::Tcp(host, _) | ConnectionAddr::TcpTls { host, .. } => Some(host),
            _ => None,
        }
    }

    pub(crate) fn database(&self) -> i64 {
        self.info.redis_settings().db()
    }

    /// The client's settings, certificates included.
    pub(super) fn client(&self) -> Result<redis::Client> {
        self.tls.client(self.info.clone(), &self.text)
    }
}

fn is_tls(url: &str) -> bool {
    let url = url.trim();
    url.starts_with("rediss:") || url.starts_with("valkeys:")
}

/// How long sent bytes may stay unacknowledged before the kernel gives the connection up.
#[cfg(target_os = "linux")]
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);

/// Probes an idle connection, so that a peer that is gone is noticed within half a minute instead of two hours.
fn keepalive() -> TcpKeepalive {
    TcpKeepalive::new()
        .with_time(Duration::from_secs(15))
        .with_interval(Duration::from_secs(5))
        .with_retries(3)
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Address({})", self.text)
    }
}
