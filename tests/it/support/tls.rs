//! A `redis-server` that speaks TLS beside its plain port, and certificates for it that no system trusts.

use std::path::{Path, PathBuf};

use keylatch::{Builder, Keylatch};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use tempfile::TempDir;

use super::redis_server::{RedisServer, free_port};

/// An authority with a certificate for a server and one for a client, in files.
#[derive(Debug)]
pub(crate) struct Certificates(TempDir);

impl Certificates {
    /// The server's is for these host names and addresses.
    pub(crate) fn for_names(names: &[&str]) -> Self {
        let certificates = Self(TempDir::with_prefix("keylatch-tls").expect("a temporary directory"));
        let key = KeyPair::generate().expect("a key");
        // Named by chance, lest one authority of a test be taken for another.
        let mut params = params(&[], &format!("authority {:016x}", fastrand::u64(..)));
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = params.self_signed(&key).expect("a certificate");
        certificates.write("ca.pem", &authority.pem());
        let issuer = Issuer::new(params, key);
        for (who, names) in [("server", names), ("client", &["client"])] {
            let key = KeyPair::generate().expect("a key");
            let signed = self::params(names, who).signed_by(&key, &issuer).expect("a certificate");
            certificates.write(&format!("{who}.pem"), &signed.pem());
            certificates.write(&format!("{who}.key"), &key.serialize_pem());
        }
        certificates
    }

    /// `ca.pem`, and `.pem` and `.key` of `server` and `client`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, pem: &str) {
        std::fs::write(self.path(name), pem).expect("a writable directory");
    }
}

fn params(names: &[&str], who: &str) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
    let mut params = CertificateParams::new(names).expect("good names");
    params.distinguished_name.push(DnType::CommonName, who);
    params
}

#[derive(Debug)]
pub(crate) struct TlsServer {
    /// Tests look at it through its plain port.
    pub(crate) plain: RedisServer,
    pub(crate) certificates: Certificates,
    port: u16,
}

/// Whether a server asks its clients for certificates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clients {
    Anybody,
    WithCertificate,
}

impl TlsServer {
    pub(crate) fn start(clients: Clients) -> Self {
        Self::start_with(clients, Certificates::for_names(&["localhost", "127.0.0.1"]))
    }

    pub(crate) fn start_with(clients: Clients, certificates: Certificates) -> Self {
        let port = free_port();
        let path = |name: &str| text(&certificates.path(name));
        let plain = RedisServer::start_with_tls(&[
            "--tls-port",
            &port.to_string(),
            "--tls-ca-cert-file",
            &path("ca.pem"),
            "--tls-cert-file",
            &path("server.pem"),
            "--tls-key-file",
            &path("server.key"),
            "--tls-auth-clients",
            if clients == Clients::Anybody { "no" } else { "yes" },
        ]);
        Self { plain, certificates, port }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    pub(crate) fn url(&self) -> String {
        format!("rediss://127.0.0.1:{}/0", self.port)
    }

    /// Of a client that knows the authority.
    pub(crate) fn builder(&self) -> Builder {
        Keylatch::builder()
            .redis_url(self.url())
            .namespace("test")
            .tls_ca_file(self.certificates.path("ca.pem"))
    }

    /// The same with the client's certificate.
    pub(crate) fn builder_with_certificate(&self) -> Builder {
        self.builder()
            .tls_cert_file(self.certificates.path("client.pem"))
            .tls_key_file(self.certificates.path("client.key"))
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("a temporary directory with an ordinary name").to_owned()
}
