//! The REST interface fails in its own ways: pages of proxies, limits, tokens that are refused.

use std::time::{Duration, Instant};

use keylatch::redis::AsyncCommands;
use keylatch::{BreakerState, CachedCall, Keylatch};
use tokio::net::{TcpListener, TcpStream};

use super::refusals::Refusals;
use super::witness::{
    AT_ONCE, COMMAND, LOOK_UP, PATIENCE, PROBED, SLACK, Service, Took, again, median, timed, value,
};
use crate::support::npm::PublicStandIn;
use crate::support::upstash::Fault;
use crate::support::{RedisServer, Upstash};

/// Until an answer comes that waits for nothing but the pauses before three repetitions, 70 ms at most, on a busy
/// machine.
const ANSWERS: Duration = Duration::from_millis(400);
/// More than it takes until the breaker has counted enough.
const ROUNDS: usize = 6;

fn at(stand_in: &Upstash, token: &str) -> Service {
    let builder = Keylatch::builder().upstash(stand_in.url(), token).namespace("test");
    Service::on(builder.command_timeout(COMMAND))
}

/// A fault that every request meets: calls answer, all else fails in time and says why, until nothing is sent any more;
/// and it heals when the fault ends.
async fn survives(fault: Fault, why: &str) {
    let redis = RedisServer::start();
    let stand_in = Upstash::start(&redis);
    let service = at(&stand_in, Upstash::TOKEN);
    again(PATIENCE, async || service.hits().await).await;
    stand_in.fail_always(Some(fault));
    // Requests that hang are given up once, by whoever comes first.
    let first = if fault == Fault::Hang { LOOK_UP + SLACK } else { ANSWERS };
    suffers(&service, why, first).await;
    // From now on the server is asked by probes alone.
    stand_in.take_seen();
    let name = format!("REST, {fault:?}");
    Box::pin(Refusals::of(&service, 100)).await.are_cheap(&name);
    let seen = stand_in.take_seen();
    let is_probe = |body: &[u8]| body.windows(4).any(|word| word == b"PING");
    assert!(seen.iter().all(|request| is_probe(&request.body)), "{seen:?}");
    stand_in.fail_always(None);
    heals(&service, &name).await;
}

/// Calls go on for some rounds, of which the first call may take that long; then the breaker is open.
async fn suffers(service: &Service, why: &str, first: Duration) {
    let (mut cached, mut invalidated) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let limit = if round == 0 { first } else { ANSWERS };
        let Took(answer, took) = timed(async { value(service, 7).await }).await;
        assert_eq!(answer % 1_000, 7, "never a wrong answer");
        assert!(took < limit, "{why}, {round}: {took:?}");
        cached.push(took);
        let Took(outcome, took) = timed(async { value(service, 1).invalidate().await }).await;
        let error = outcome.expect_err("it fails");
        let chain = chain(&error);
        assert!(chain.contains(why), "{why}, {round}: {chain}");
        assert!(!format!("{chain} {error:?}").contains(Upstash::TOKEN), "{chain}");
        assert!(took < ANSWERS, "{why}, {round}: {took:?}");
        invalidated.push(took);
    }
    let (cached, invalidated) = (median(cached), median(invalidated));
    eprintln!("REST, {why}: cached in {cached:?}, invalidations refused in {invalidated:?}");
    assert!(cached < AT_ONCE && invalidated < AT_ONCE, "{why}: {cached:?}, {invalidated:?}");
    let status = service.breaker().await;
    assert!(status.opened == 1 && status.state != BreakerState::Closed, "{why}: {status:?}");
}

async fn heals(service: &Service, name: &str) {
    let began = Instant::now();
    again(PROBED, async || service.hits().await).await;
    let healed = began.elapsed();
    eprintln!("{name}: healed after {healed:?}");
    assert!(healed < PROBED, "{name}: {healed:?}");
    value(service, 1).invalidate().await.expect("it is up");
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

/// Nobody listens; later, somebody does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_from_the_start() {
    let redis = RedisServer::start();
    let url = Upstash::start(&redis).url();
    let builder = Keylatch::builder().upstash(&*url, Upstash::TOKEN).namespace("test");
    let service = Service::on(builder.command_timeout(COMMAND));
    suffers(&service, "server", ANSWERS).await;
    let stand_in = Upstash::start(&redis);
    forward(&url, &stand_in.url()).await;
    heals(&service, "REST, refused from the start").await;
}

/// From now on, whoever asks at the one address is answered at the other.
async fn forward(from: &str, to: &str) {
    let address = |url: &str| url.strip_prefix("http://").expect("without TLS").to_owned();
    let listener = TcpListener::bind(address(from)).await.expect("its port is still free");
    let to = address(to);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let to = to.clone();
            tokio::spawn(async move {
                if let Ok(mut server) = TcpStream::connect(to).await {
                    // However one of them ends, the other one does.
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                }
            });
        }
    });
}

/// It has no transactions and no binary answers; the store does without.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_public_stand_in_serves_as_a_store() {
    let redis = RedisServer::start();
    let stand_in = PublicStandIn::start(&redis);
    let builder = Keylatch::builder().upstash(stand_in.url(), PublicStandIn::TOKEN).namespace("test");
    keylatch::__private::conforms(&builder.build().expect("good settings")).await;
}
