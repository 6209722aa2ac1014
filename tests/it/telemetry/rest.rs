//! Over REST the token is part of every request: neither we nor the HTTP client or anything beneath it may show it,
//! whatever goes wrong. In processes of their own, where all that anybody traces or logs is kept.

use std::error::Error;
use std::time::Duration;

use keylatch::{CachedCall, Key, Keylatch, cached};
use redis::{AsyncCommands, RedisResult};

use super::collected::Collected;
use crate::support::proxy::Mode;
use crate::support::tls::Certificates;
use crate::support::upstash::Fault;
use crate::support::{Proxy, RedisServer, Upstash, child};

/// A token that no server accepts.
const WRONG: &str = "t0ken-of-nobody";

#[cached(key = "over-rest:{id}", ttl = "1m", skip(cache), using = cache)]
async fn doubled(cache: &Keylatch, id: u64) -> u64 {
    id * 2
}

/// What a program was told: the errors, and the states that it may show.
struct Told {
    errors: Vec<String>,
    states: String,
}

impl Told {
    fn all(&self) -> String {
        format!("{}\n{}", self.errors.join("\n"), self.states)
    }
}

/// Does all that a program may do with a server of that token.
async fn use_all(url: &str, token: &str) -> Told {
    let builder = Keylatch::builder().upstash(url, token).namespace("test");
    let builder = builder.command_timeout(Duration::from_secs(2));
    let settings = format!("{builder:?} {builder:#?}");
    let cache = builder.build().expect("good settings");
    let mut errors = Vec::new();
    assert_eq!(doubled(&cache, 4).await, 8, "whatever the server does");
    if let Err(error) = doubled(&cache, 4).invalidate().await {
        errors.push(forms(&error));
    }
    match cache.lock(Key::of("lock")).wait(Duration::ZERO).acquire().await {
        Ok(held) => held.release().await.expect("it is ours"),
        Err(error) => errors.push(forms(&error)),
    }
    let mut redis = cache.connection().expect("there is a server");
    let outcomes: [RedisResult<()>; 5] = [
        redis.set("n", 1).await,
        redis.set("bytes", &[0_u8, 255]).await,
        redis::pipe().incr("n", 1).incr("n", 1).query_async(&mut redis).await,
        redis::pipe().atomic().incr("n", 1).incr("n", 1).query_async(&mut redis).await,
        redis::Script::new("return 1").invoke_async(&mut redis).await,
    ];
    errors.extend(outcomes.into_iter().filter_map(Result::err).map(|error| forms(&error)));
    let health = cache.health().await;
    let shown = serde_json::to_string(&health).expect("it is JSON");
    Told { errors, states: format!("{settings} {cache:?} {redis:?} {health:?} {shown}") }
}

/// An error and its causes, in each form that logs have.
fn forms(error: &(dyn Error + 'static)) -> String {
    let causes = std::iter::successors(Some(error), |&error| error.source());
    causes.map(|error| format!("{error} {error:?} {error:#?}")).collect::<Vec<_>>().join("\n")
}

/// The lines that show a token.
fn leaks(text: &str) -> Vec<&str> {
    text.lines().filter(|line| [Upstash::TOKEN, WRONG].iter().any(|token| line.contains(token))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_meets_every_fault() {
    let Some(secure) = child::argument("child_meets_every_fault") else { return };
    let collected = Collected::anybodys().everywhere();
    let redis = RedisServer::start();
    let stand_in = Upstash::start(&redis);
    let url = stand_in.url();

    let well = use_all(&url, Upstash::TOKEN).await;
    assert!(well.errors.is_empty(), "{:?}", well.errors);
    let by_tls = use_all(&secure, Upstash::TOKEN).await;
    // Elsewhere the authority is not known, and what happens then is shown just as little.
    assert!(by_tls.errors.is_empty() || !cfg!(target_os = "linux"), "{:?}", by_tls.errors);
    let mut told = vec![well, by_tls];

    let mut failing = vec![use_all(&url, WRONG).await, use_all("http://127.0.0.1:1", Upstash::TOKEN).await];
    for fault in [Fault::Status(500), Fault::Html(502), Fault::Status(429), Fault::Cut, Fault::Hang] {
        stand_in.fail_always(Some(fault));
        failing.push(use_all(&url, Upstash::TOKEN).await);
    }
    stand_in.fail_always(None);
    let proxy = Proxy::to(stand_in.port()).await;
    let through_it = format!("http://127.0.0.1:{}", proxy.port());
    for mode in [Mode::Garbage, Mode::Refuse] {
        proxy.set(mode);
        failing.push(use_all(&through_it, Upstash::TOKEN).await);
    }
    for failed in failing {
        assert!(failed.errors.len() >= 6, "it was not told of the faults: {}", failed.all());
        told.push(failed);
    }

    for told in &told {
        assert_eq!(leaks(&told.all()), [""; 0]);
    }
    assert_eq!(leaks(&collected.all()), [""; 0]);
    // Those who send it were heard.
    for target in ["keylatch", "hyper_util", "reqwest"] {
        assert!(collected.has_target(target), "nothing of {target} was kept");
    }
}

#[test]
fn no_fault_shows_the_token() {
    let redis = RedisServer::start();
    let certificates = Certificates::for_names(&["127.0.0.1"]);
    let secure = Upstash::start_with_tls(&redis, &certificates);
    let authority = certificates.path("ca.pem");
    let authority = authority.to_str().expect("a temporary directory with an ordinary name");
    run("child_meets_every_fault", &secure.url(), &[("SSL_CERT_FILE", authority)]);
}

/// A server, or what stands before it, that quotes the token in an answer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_is_quoted() {
    if child::argument("child_is_quoted").is_none() {
        return;
    }
    let collected = Collected::anybodys().everywhere();
    let redis = RedisServer::start();
    let stand_in = Upstash::start(&redis);
    let text = "text/plain";
    for (status, content_type, body) in [
        (401, text, "no such token: @token@"),
        (400, "application/json", r#"{"error":"WRONGPASS invalid token @token@"}"#),
        (400, "application/json", r#"{"error":"ERR unknown token '@token@'"}"#),
        (200, "application/json", r#"[{"error":"ERR token '@token@'"},{"error":"@token@"}]"#),
        (400, "application/octet-stream", "-ERR unknown token '@token@'\r\n"),
        (200, "application/octet-stream", "-ERR unknown token '@token@'\r\n-NOPERM @token@\r\n"),
        (200, "text/html; for=@token@", "<title>@token@</title>"),
        (503, "text/html; for=@token@", "<title>@token@</title>"),
    ] {
        stand_in.fail_always(Some(Fault::Says { status, content_type, body }));
        let told = use_all(&stand_in.url(), Upstash::TOKEN).await;
        assert!(told.errors.len() >= 6, "{body}: it was not told of the faults: {}", told.all());
        assert_eq!(leaks(&told.all()), [""; 0], "{status} {content_type} {body}");
    }
    assert_eq!(leaks(&collected.all()), [""; 0]);
}

#[test]
fn a_token_that_a_server_quotes_is_hidden() {
    run("child_is_quoted", "", &[]);
}

fn run(role: &str, argument: &str, environment: &[(&str, &str)]) {
    let path = format!("telemetry::rest::{role}");
    let mut child = child::start_with(&path, argument, environment);
    assert!(child.wait().expect("it ends").success(), "{path}");
}
