//! The REST interface fails in its own ways: pages of proxies, limits, tokens that are refused.

use std::time::Instant;

use keylatch::redis::AsyncCommands;
use keylatch::{CachedCall, Keylatch};

use super::witness::{COMMAND, HEALED, SLACK, Service, again, value};
use crate::support::npm::PublicStandIn;
use crate::support::upstash::Fault;
use crate::support::{RedisServer, Upstash};

fn at(stand_in: &Upstash, token: &str) -> Service {
    let builder = Keylatch::builder().upstash(stand_in.url(), token).namespace("test");
    Service::on(builder.command_timeout(COMMAND))
}

/// A fault that every request meets: calls answer, all else fails in time and says why, and it heals when the fault ends.
async fn survives(fault: Fault, why: &str) {
    let redis = RedisServer::start();
    let stand_in = Upstash::start(&redis);
    let service = at(&stand_in, Upstash::TOKEN);
    again(HEALED, async || service.hits().await).await;
    stand_in.fail_always(Some(fault));
    for round in 0..3 {
        let began = Instant::now();
        assert_eq!(value(&service, 7).await % 1_000, 7, "never a wrong answer");
        let error = value(&service, 1).invalidate().await.expect_err("it fails");
        let chain = chain(&error);
        assert!(chain.contains(why), "{fault:?}, {round}: {chain}");
        assert!(!format!("{chain} {error:?}").contains(Upstash::TOKEN), "{chain}");
        assert!(began.elapsed() < 2 * COMMAND + SLACK, "{fault:?}, {round}: {:?}", began.elapsed());
    }
    stand_in.fail_always(None);
    let began = Instant::now();
    again(HEALED, async || service.hits().await).await;
    eprintln!("REST, {fault:?}: healed after {:?}", began.elapsed());
    value(&service, 1).invalidate().await.expect("it is up");
}

/// An error and its causes, as a log shows them.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_of_the_server() {
    survives(Fault::Status(500), "500").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_of_a_proxy() {
    survives(Fault::Html(502), "502").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn too_many_requests() {
    survives(Fault::Status(429), "429").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_hang() {
    survives(Fault::Hang, "server").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_break_off() {
    survives(Fault::Cut, "server").await;
}

/// A read is repeated; what writes may have run, and is not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_what_is_safe_is_repeated() {
    let redis = RedisServer::start();
    let stand_in = Upstash::start(&redis);
    let service = at(&stand_in, Upstash::TOKEN);
    let mut connection = service.cache.connection().expect("there is a server").clone();
    let () = connection.set("counter", 1).await.expect("it is up");
    stand_in.fail_next([Fault::Cut]);
    assert_eq!(connection.get::<_, u64>("counter").await.expect("the second request is answered"), 1);
    stand_in.fail_next([Fault::Cut]);
    connection.incr::<_, _, u64>("counter", 1).await.expect_err("nobody knows whether it ran");
    assert_eq!(connection.get::<_, u64>("counter").await.expect("it is up"), 2, "it ran once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_token_is_told_without_showing_it() {
    let redis = RedisServer::start();
    let stand_in = Upstash::start(&redis);
    let service = at(&stand_in, "not-the-t0ken");
    assert_eq!(value(&service, 7).await % 1_000, 7);
    let error = value(&service, 1).invalidate().await.expect_err("the token is refused");
    let told = format!("{} {error:?}", chain(&error));
    assert!(told.to_lowercase().contains("token") || told.contains("401"), "{told}");
    assert!(!told.contains("not-the-t0ken"), "{told}");
    let health = service.cache.health().await;
    assert!(!serde_json::to_string(&health).expect("JSON").contains("t0ken"), "{health:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_from_the_start() {
    let redis = RedisServer::start();
    let url = Upstash::start(&redis).url();
    let builder = Keylatch::builder().upstash(url, Upstash::TOKEN).namespace("test");
    let service = Service::on(builder.command_timeout(COMMAND));
    for _ in 0..3 {
        let began = Instant::now();
        assert_eq!(value(&service, 7).await % 1_000, 7);
        value(&service, 1).invalidate().await.expect_err("nobody listens");
        assert!(began.elapsed() < COMMAND, "{:?}", began.elapsed());
    }
}

/// It has no transactions and no binary answers; the store does without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_stand_in_serves_as_a_store() {
    let redis = RedisServer::start();
    let stand_in = PublicStandIn::start(&redis);
    let builder = Keylatch::builder().upstash(stand_in.url(), PublicStandIn::TOKEN).namespace("test");
    keylatch::__private::conforms(&builder.build().expect("good settings")).await;
}
