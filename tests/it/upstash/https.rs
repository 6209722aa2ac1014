//! By HTTPS, as Upstash itself is reached. The system's authorities are trusted, which the environment can replace, so each
//! client is a process of its own. Nobody has installed a provider of cryptography there, and the HTTP client panics
//! without one.

use keylatch::Keylatch;
use redis::AsyncCommands;
use tokio_rustls::rustls::crypto::CryptoProvider;

use crate::support::tls::Certificates;
use crate::support::{RedisServer, Upstash, child};
use crate::tls::{refuses, serves};

fn over(url: &str) -> Keylatch {
    assert!(CryptoProvider::get_default().is_none(), "somebody has installed a provider");
    let cache = Keylatch::builder().upstash(url, Upstash::TOKEN).namespace("test").build().unwrap();
    assert!(CryptoProvider::get_default().is_some(), "the client had none to use");
    cache
}

#[tokio::test]
async fn child_is_served() {
    let Some(url) = child::argument("child_is_served") else { return };
    let cache = over(&url);
    let mut redis = cache.connection().unwrap();
    serves(cache).await;
    let bytes = vec![0_u8, 255];
    redis.set::<_, _, ()>("bytes", &bytes).await.unwrap();
    for atomic in [false, true] {
        let mut pipeline = redis::pipe();
        pipeline.get("bytes").strlen("bytes");
        let pipeline = if atomic { pipeline.atomic() } else { &mut pipeline };
        let answers: (Vec<u8>, usize) = pipeline.query_async(&mut redis).await.unwrap();
        assert_eq!(answers, (bytes.clone(), 2));
    }
}

#[tokio::test]
async fn child_is_refused() {
    let Some(argument) = child::argument("child_is_refused") else { return };
    let (url, why) = argument.split_once(' ').unwrap();
    refuses(over(url), &[why]).await;
}

/// Runs one of these with an authority in place of the system's.
fn run(role: &str, argument: &str, trusted: &Certificates) {
    let authority = trusted.path("ca.pem");
    let authority = authority.to_str().expect("a temporary directory with an ordinary name");
    let path = format!("upstash::https::{role}");
    let mut child = child::start_with(&path, argument, &[("SSL_CERT_FILE", authority)]);
    assert!(child.wait().expect("it ends").success(), "{path}");
}

#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "elsewhere authorities are not kept in a file")]
fn in_a_fresh_process() {
    let redis = RedisServer::start();
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let upstash = Upstash::start_with_tls(&redis, &certificates);
    run("child_is_served", &upstash.url(), &certificates);
    let seen = upstash.take_seen();
    for path in ["/", "/pipeline", "/multi-exec", "/SET/bytes"] {
        assert!(seen.iter().any(|seen| seen.path == path), "{path} was not asked for");
    }
}

/// Who cannot show who it is gets no request, and so no token.
#[test]
#[cfg_attr(not(target_os = "linux"), ignore = "elsewhere authorities are not kept in a file")]
fn untrusted_servers() {
    let redis = RedisServer::start();
    let stranger = Certificates::for_names(&["127.0.0.1"]);
    let elsewhere = Certificates::for_names(&["upstash.example"]);
    for (own, trusted, why) in
        [(&stranger, &elsewhere, "UnknownIssuer"), (&elsewhere, &elsewhere, "not valid for name")]
    {
        let upstash = Upstash::start_with_tls(&redis, own);
        run("child_is_refused", &format!("{} {why}", upstash.url()), trusted);
        assert_eq!(upstash.take_seen().len(), 0, "{why}");
    }
    assert_eq!(redis.key_count(), 0);
}
