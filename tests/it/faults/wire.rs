//! What networks and processes do: kill, stop, refuse, delay, swallow, hold, cut, answer garbage.

use std::time::Duration;

use super::refusals::Refusals;
use super::witness::{
    AT_ONCE, COMMAND, NEXT_CALL, PATIENCE, PROBED, SLACK, SOON, Witness, again, at, median,
};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer};

/// The time-out of a dial whose bytes were swallowed, and of whoever waits for it.
const CONNECT: Duration = Duration::from_secs(2);
/// The pauses before three repetitions, at most.
const REPEATED: Duration = Duration::from_millis(10 + 20 + 40);

async fn behind_a_proxy() -> (RedisServer, Proxy, Witness) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let witness = Witness::at(&proxy.url());
    witness.works().await;
    (server, proxy, witness)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_restarted() {
    let mut server = RedisServer::start();
    let witness = Witness::at(&server.url());
    witness.works().await;
    server.kill();
    // The connections are closed, and the next ones refused: nobody waits.
    witness.look().await.fails_within("killed", AT_ONCE);
    witness.look().await.again("killed, then", AT_ONCE);
    server.restart();
    witness.heals("killed", SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn stopped_and_continued() {
    let server = RedisServer::start();
    let witness = Witness::at(&server.url());
    witness.works().await;
    server.signal("STOP");
    witness.look().await.fails_within("stopped", COMMAND);
    witness.look().await.again("stopped, then", AT_ONCE);
    Refusals::of(&witness.setter, 100).await.are_cheap("stopped, then");
    server.signal("CONT");
    witness.heals("stopped", SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_from_the_start() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.set(Mode::Refuse);
    let witness = Witness::at(&proxy.url());
    witness.look().await.fails_within("refused", AT_ONCE);
    witness.look().await.again("refused, then", AT_ONCE);
    proxy.set(Mode::Pass);
    witness.heals("refused", SOON).await;
}

/// Late is not down: nothing trips.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_by_two_hundred_milliseconds() {
    let (_server, proxy, witness) = behind_a_proxy().await;
    // Either direction, so a round trip takes 200 ms.
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let mut looks = Vec::new();
    for _ in 0..5 {
        let seen = witness.look().await;
        seen.works_within("slow", Duration::from_millis(450));
        looks.push(seen);
    }
    // A lock is taken and given back, and a cached function looks up once.
    for (kind, took, round_trips) in [
        ("cached", median(looks.iter().map(|seen| seen.cached.1)), 1),
        ("invalidation", median(looks.iter().map(|seen| seen.invalidated.1)), 1),
        ("lock", median(looks.iter().map(|seen| seen.locked.1)), 2),
        ("set", median(looks.iter().map(|seen| seen.set.1)), 1),
        ("get", median(looks.iter().map(|seen| seen.got.1)), 1),
    ] {
        eprintln!("slow: {kind} in {took:?}");
        let (least, most) = (Duration::from_millis(190), Duration::from_millis(400));
        assert!((least..most).contains(&(took / round_trips)), "{kind}: {took:?}");
    }
    for service in witness.all() {
        let breaker = service.breaker().await;
        assert_eq!((breaker.opened, breaker.failures), (0, 0), "nothing trips");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_dial_is_no_fault_either() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.set(Mode::Delay(Duration::from_millis(100)));
    let witness = Witness::at(&proxy.url());
    let seen = witness.look().await;
    assert!(seen.invalidated.0.is_ok() && seen.locked.0.is_ok() && seen.set.0.is_ok(), "{seen:?}");
    // It is as slow as before, so that each try takes a second.
    witness.heals("slow dial", PATIENCE).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_black_hole_both_ways() {
    let (_server, proxy, witness) = behind_a_proxy().await;
    proxy.set(Mode::Hold);
    witness.look().await.fails_within("black hole", COMMAND);
    witness.look().await.again("black hole, then", AT_ONCE);
    Refusals::of(&witness.setter, 100).await.are_cheap("black hole, then");
    proxy.set(Mode::Pass);
    witness.heals("black hole", SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swallowed_requests() {
    Box::pin(swallowed("swallowed requests", Mode::SwallowRequests)).await;
}

/// What was asked for is done, and nobody learns of it: neither may be taken for granted.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn swallowed_answers() {
    Box::pin(swallowed("swallowed answers", Mode::SwallowAnswers)).await;
}

async fn swallowed(name: &str, mode: Mode) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let witness = Witness::with(|| at(&proxy.url()).connect_timeout(CONNECT));
    witness.works().await;
    proxy.set(mode);
    witness.look().await.fails_within(name, COMMAND);
    witness.look().await.again(name, AT_ONCE);
    // No stream goes on behind a gap.
    proxy.cut();
    proxy.set(Mode::Pass);
    witness.heals(name, SOON).await;
}

/// Reset in the middle of nothing: what may be repeated is, and the rest works at the next call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_reset_between_calls() {
    let (_server, proxy, witness) = behind_a_proxy().await;
    for _ in 0..5 {
        proxy.cut();
        let seen = witness.look().await;
        assert!(seen.got.0.is_ok(), "reading is repeated: {seen:?}");
        assert!(seen.cached.1 < AT_ONCE * 3, "{seen:?}");
        witness.heals("cut", NEXT_CALL).await;
    }
}

/// The server accepts and never answers, so that the dial itself hangs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_from_the_start() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.set(Mode::Hold);
    let witness = Witness::at(&proxy.url());
    witness.look().await.fails_within("silent from the start", COMMAND);
    witness.look().await.again("silent from the start, then", AT_ONCE);
    Refusals::of(&witness.setter, 100).await.are_cheap("silent from the start, then");
    proxy.set(Mode::Pass);
    witness.heals("silent from the start", SOON).await;
}

/// The handshake is lost, so that the dial ends at its own limit and the next one succeeds.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_swallowed_handshake() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.set(Mode::SwallowAnswers);
    let witness = Witness::with(|| at(&proxy.url()).connect_timeout(CONNECT));
    witness.look().await.fails_within("swallowed handshake", COMMAND);
    witness.look().await.again("swallowed handshake, then", AT_ONCE);
    proxy.set(Mode::Pass);
    // The look has taken half of the time that the dial has.
    witness.heals("swallowed handshake", CONNECT).await;
}

/// Nobody waits for anything but the pauses before what is safe to repeat is sent again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_on_the_wire() {
    let (_server, proxy, witness) = behind_a_proxy().await;
    let (mut first, mut then) = (Vec::new(), Vec::new());
    for _ in 0..5 {
        proxy.set(Mode::Garbage);
        let seen = witness.look().await;
        seen.fails_within("garbage", REPEATED);
        first.push(seen.slowest());
        let seen = witness.look().await;
        seen.again("garbage, then", AT_ONCE + SLACK);
        then.push(seen.slowest());
        proxy.set(Mode::Pass);
        witness.heals("garbage", SOON).await;
    }
    let (first, then) = (median(first), median(then));
    assert!(first < AT_ONCE && then < AT_ONCE, "{first:?}, then {then:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_from_the_start() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    proxy.set(Mode::Garbage);
    let witness = Witness::at(&proxy.url());
    witness.look().await.fails_within("garbage from the start", AT_ONCE);
    witness.look().await.again("garbage from the start, then", AT_ONCE);
    proxy.set(Mode::Pass);
    witness.heals("garbage from the start", SOON).await;
}

/// All connections of a pool fall silent, though new ones would work: a firewall that forgot them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_that_falls_silent() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let witness = Witness::with(|| at(&proxy.url()).pool_size(5));
    witness.works().await;
    for service in witness.all() {
        // Missing connections are dialled now and then.
        again(PATIENCE, async || {
            service.get().await.expect("the server is up");
            service.cache.health().await.servers[0].connections == 5
        })
        .await;
    }
    proxy.silence();
    witness.look().await.fails_within("pool fell silent", COMMAND);
    // Not a command's limit for each of the five.
    witness.look().await.again("pool fell silent", AT_ONCE);
    witness.heals("pool fell silent", PROBED).await;
}
