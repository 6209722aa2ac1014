//! TLS: own roots, certificates of clients, and clear errors where one of them is missing or wrong.

use std::sync::atomic::{AtomicU32, Ordering};

use keylatch::{CachedCall, ErrorKind, Keylatch, LockError, cached};
use redis::AsyncCommands;

use crate::support::tls::{Certificates, Clients, TlsServer};
use crate::support::{RedisServer, child};
use crate::torture::{By, KEYS_PER_RUN, none_is_stale};

struct Source {
    cache: Keylatch,
    runs: AtomicU32,
}

impl Source {
    fn on(cache: Keylatch) -> Self {
        Self { cache, runs: AtomicU32::new(0) }
    }
}

#[cached(key = "double:{n}", ttl = "10m", skip(source), using = source.cache)]
async fn double(source: &Source, n: u64) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    n * 2
}

/// The server is reached: what was stored is found again.
pub(crate) async fn serves(cache: Keylatch) {
    let source = Source::on(cache);
    assert_eq!((double(&source, 1).await, double(&source, 1).await), (2, 2));
    assert_eq!(source.runs.load(Ordering::SeqCst), 1);
    double(&source, 1).invalidate().await.unwrap();
    source.cache.lock("lock").acquire().await.unwrap().release().await.unwrap();
}

/// The server is not reached: locks and commands say why in one line, and cached functions answer all the same.
pub(crate) async fn refuses(cache: Keylatch, why: &[&str]) {
    let source = Source::on(cache);
    assert_eq!((double(&source, 1).await, double(&source, 2).await), (2, 4));
    let error = source.cache.lock("lock").acquire().await.unwrap_err();
    let LockError::Unknown { source: error, .. } = error else { panic!("{error}") };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let health = source.cache.health().await;
    let command = source.cache.connection().unwrap().get::<_, Option<String>>("key").await.unwrap_err();
    for text in [error.to_string(), format!("{health:?}"), command.to_string()] {
        assert!(why.iter().any(|why| text.contains(why)), "{text}");
        assert!(!text.contains('\n'), "{text}");
    }
}

#[tokio::test]
async fn own_roots() {
    let server = TlsServer::start(Clients::Anybody);
    serves(server.builder().build().unwrap()).await;
    // By name, and by host and port in place of a URL.
    let by_name = server.builder().redis_url(format!("rediss://localhost:{}", server.port()));
    serves(by_name.build().unwrap()).await;
    let by_parts = Keylatch::builder()
        .host("127.0.0.1")
        .port(server.port())
        .tls(true)
        .namespace("test")
        .tls_ca_file(server.certificates.path("ca.pem"));
    serves(by_parts.build().unwrap()).await;
    assert!(server.plain.key_count() > 0, "it was this server");
}

#[tokio::test]
async fn certificates_of_clients() {
    let server = TlsServer::start(Clients::WithCertificate);
    serves(server.builder_with_certificate().build().unwrap()).await;
    refuses(server.builder().build().unwrap(), &["CertificateRequired", "certificate required"]).await;
    let stranger = Certificates::for_names(&["localhost"]);
    let by_a_stranger =
        server.builder().tls_cert_file(stranger.path("client.pem")).tls_key_file(stranger.path("client.key"));
    refuses(by_a_stranger.build().unwrap(), &["UnknownCA"]).await;
}

#[tokio::test]
async fn untrusted_servers() {
    let server = TlsServer::start(Clients::Anybody);
    let by_the_system = Keylatch::builder().redis_url(server.url()).namespace("test");
    refuses(by_the_system.build().unwrap(), &["UnknownIssuer"]).await;
    let stranger = Certificates::for_names(&["localhost"]);
    let by_another = server.builder().tls_ca_file(stranger.path("ca.pem"));
    refuses(by_another.build().unwrap(), &["UnknownIssuer", "BadSignature"]).await;
}

#[tokio::test]
async fn a_certificate_for_another_name() {
    let certificates = Certificates::for_names(&["redis.example"]);
    let server = TlsServer::start_with(Clients::Anybody, certificates);
    refuses(server.builder().build().unwrap(), &["not valid for name"]).await;
}

#[tokio::test]
async fn without_tls_where_it_is_spoken() {
    let server = TlsServer::start(Clients::Anybody);
    let url = format!("redis://127.0.0.1:{}", server.port());
    let plain = Keylatch::builder().redis_url(url).namespace("test").build().unwrap();
    refuses(plain, &["reset", "closed", "terminated", "end of file"]).await;
}

/// Certificates are for those servers that are reached by TLS; others beside them are reached without.
#[tokio::test]
async fn beside_servers_without() {
    let server = TlsServer::start(Clients::WithCertificate);
    let others = [RedisServer::start()];
    let mixed = server.builder_with_certificate().lock_urls(others.iter().map(RedisServer::url));
    let mixed = mixed.build().unwrap();
    mixed.connection().unwrap().set::<_, _, ()>("key", "value").await.unwrap();
    for master in mixed.lock_masters() {
        master.clone().set::<_, _, ()>("key", "value").await.unwrap();
    }
    assert_eq!((server.plain.key_count(), others[0].key_count()), (1, 1));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn conforms() {
    let server = TlsServer::start(Clients::WithCertificate);
    keylatch::__private::conforms(&server.builder_with_certificate().build().unwrap()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_stale_stays() {
    let server = TlsServer::start(Clients::WithCertificate);
    // The protocol is the same for every way, so that fewer keys are enough for most.
    let ways = [
        (By::Key, KEYS_PER_RUN),
        (By::Tag, KEYS_PER_RUN),
        (By::Pattern, KEYS_PER_RUN / 4),
        (By::Function, KEYS_PER_RUN / 4),
        (By::Cascade, KEYS_PER_RUN / 4),
        (By::Tracked, KEYS_PER_RUN / 4),
        (By::TrackedByPattern, KEYS_PER_RUN / 4),
        (By::Clear, KEYS_PER_RUN / 4),
        (By::Refresh, KEYS_PER_RUN / 4),
    ];
    for (by, keys) in ways {
        let instances = (0..3).map(|_| server.builder_with_certificate().build().unwrap()).collect();
        none_is_stale(by, keys, instances).await;
    }
}

/// Nobody has installed a provider of cryptography there, and the client panics without one.
#[tokio::test]
async fn child_is_fresh() {
    let Some(arguments) = child::argument("child_is_fresh") else { return };
    let (port, roots) = arguments.split_once(' ').unwrap();
    let builder = || {
        let url = format!("rediss://127.0.0.1:{port}");
        Keylatch::builder().redis_url(url).namespace("test")
    };
    serves(builder().tls_ca_file(roots).build().unwrap()).await;
    refuses(builder().build().unwrap(), &["UnknownIssuer"]).await;
}

#[test]
fn in_a_fresh_process() {
    let server = TlsServer::start(Clients::Anybody);
    let roots = server.certificates.path("ca.pem");
    let argument = format!("{} {}", server.port(), roots.display());
    let status = child::start("tls::child_is_fresh", &argument).wait().unwrap();
    assert!(status.success());
}
