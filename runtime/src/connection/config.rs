//! Where the server is and how long it may take.

use std::fmt;
use std::time::Duration;

use redis::{ConnectionInfo, IntoConnectionInfo, ProtocolVersion};

use crate::error::{Error, ErrorKind, Result};

/// The settings of one connection. `Debug` and errors show the address, never the credentials.
pub(crate) struct ConnectionConfig {
    pub(super) info: ConnectionInfo,
    pub(super) connect_timeout: Duration,
    pub(super) command_timeout: Duration,
    address: String,
}

impl ConnectionConfig {
    /// Parses `redis://[user][:password]@host[:port][/db]`, `unix:///path` and the like.
    ///
    /// # Errors
    /// [`ErrorKind::Configuration`], naming `setting`.
    pub(crate) fn new(
        url: &str,
        setting: &'static str,
        connect_timeout: Duration,
        command_timeout: Duration,
    ) -> Result<Self> {
        // The client's own error may quote the URL, and so the password: it is left out.
        let info = url.into_connection_info().map_err(|_| {
            Error::new(ErrorKind::Configuration, "configure")
                .with("setting", setting)
                .with("fault", "not a Redis URL")
                .remedy(
                    "write for example `redis://user:password@localhost:6379/0` or `unix:///run/redis.sock`",
                )
        })?;
        let address = info.addr().to_string();
        // RESP3 carries the pushes that wake those who wait for a key.
        let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
        let tcp = info.tcp_settings().clone().set_nodelay(true);
        let info = info.set_redis_settings(settings).set_tcp_settings(tcp);
        Ok(Self { info, connect_timeout, command_timeout, address })
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }
}

impl fmt::Debug for ConnectionConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ConnectionConfig")
            .field("address", &self.address)
            .field("connect_timeout", &self.connect_timeout)
            .field("command_timeout", &self.command_timeout)
            .finish_non_exhaustive()
    }
}
