//! TLS by rustls: whose certificates are trusted, and who we say we are.

#[cfg(feature = "tls")]
use std::sync::Arc;

#[cfg(feature = "tls")]
use redis::ConnectionAddr;
use redis::{Client, ConnectionInfo};

use super::failure::failed;
use crate::error::Result;

/// Certificates of one connection. Without any, the system's roots are trusted and no client certificate is shown.
#[derive(Clone, Default)]
pub(crate) struct Tls {
    #[cfg(feature = "tls")]
    certificates: Option<Arc<redis::TlsCertificates>>,
}

impl Tls {
    /// Whether `rediss://` works in this build.
    pub(crate) const fn is_supported() -> bool {
        cfg!(feature = "tls")
    }

    /// PEM texts: the roots to trust instead of the system's, and the client's certificate chain with its key.
    #[cfg(feature = "tls")]
    pub(crate) fn new(roots: Option<Vec<u8>>, client: Option<(Vec<u8>, Vec<u8>)>) -> Self {
        if roots.is_none() && client.is_none() {
            return Self::default();
        }
        let client_tls =
            client.map(|(client_cert, client_key)| redis::ClientTlsConfig { client_cert, client_key });
        Self { certificates: Some(Arc::new(redis::TlsCertificates { client_tls, root_cert: roots })) }
    }

    #[cfg(feature = "tls")]
    pub(super) fn client(&self, info: ConnectionInfo, address: &str) -> Result<Client> {
        // The client panics where no provider is installed; another one that the application chose is kept.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let is_secure = matches!(info.addr(), ConnectionAddr::TcpTls { .. });
        // Servers without TLS may stand beside those with it, and the client refuses certificates for them.
        match self.certificates.as_ref().filter(|_| is_secure) {
            Some(certificates) => Client::build_with_tls(info, (**certificates).clone()),
            None => Client::open(info),
        }
        .map_err(|error| failed("configure", address, error))
    }

    #[cfg(not(feature = "tls"))]
    #[expect(clippy::unused_self, reason = "there are no certificates without TLS")]
    pub(super) fn client(&self, info: ConnectionInfo, address: &str) -> Result<Client> {
        Client::open(info).map_err(|error| failed("configure", address, error))
    }
}

impl std::fmt::Debug for Tls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Tls(..)")
    }
}
