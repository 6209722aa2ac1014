//! The circuit breaker: what it costs while it is open, how often a server that hangs makes anybody wait, and how it closes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keylatch::{BreakerState, CachedCall};
use tokio::task::JoinSet;

use super::witness::{AT_ONCE, COMMAND, HEALED, SLACK, Service, again, at, value};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer};

/// The most that a command may cost while the breaker is open.
const OPEN: Duration = Duration::from_micros(100);

fn median(mut times: Vec<Duration>) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_open_nothing_waits() {
    let mut server = RedisServer::start();
    let service = Service::on(at(&server.url()));
    assert!(service.hits().await);
    server.kill();
    let _first = service.get().await.expect_err("nobody listens");
    again(HEALED, async || service.breaker().await.state != BreakerState::Closed).await;

    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..1_000 {
        let began = Instant::now();
        service.get().await.expect_err("nobody listens");
        times[0].push(began.elapsed());
        let began = Instant::now();
        service.job().await.expect_err("nobody listens");
        times[1].push(began.elapsed());
        let began = Instant::now();
        value(&service, 7).await;
        times[2].push(began.elapsed());
    }
    let [get, lock, cached] = times.map(median);
    eprintln!("breaker open: get {get:?}, lock {lock:?}, cached {cached:?}");
    assert!(get < OPEN && lock < OPEN && cached < OPEN, "{get:?} {lock:?} {cached:?}");
    assert!(service.breaker().await.opened >= 1);
}

/// A command of each caller is on its way when the server stops; nobody sends another into the void.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_hangs_costs_each_caller_one_time_out_once() {
    let server = RedisServer::start();
    let service = Arc::new(Service::on(at(&server.url())));
    assert!(service.hits().await);
    server.signal("STOP");
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let service = Arc::clone(&service);
        callers.spawn(async move {
            let mut times = [Duration::ZERO; 3];
            for time in &mut times {
                let began = Instant::now();
                service.get().await.expect_err("nobody answers");
                *time = began.elapsed();
            }
            times
        });
    }
    for [first, second, third] in callers.join_all().await {
        assert!(first < COMMAND + SLACK, "{first:?}");
        assert!(second < AT_ONCE && third < AT_ONCE, "{second:?} {third:?}");
    }
    let status = service.breaker().await;
    assert_eq!((status.opened, status.closed), (1, 0), "{status:?}");
    assert_ne!(status.state, BreakerState::Closed);
    server.signal("CONT");
    again(HEALED, async || service.breaker().await.state == BreakerState::Closed).await;
    let status = service.breaker().await;
    assert_eq!((status.opened, status.closed, status.failures), (1, 1, 0), "{status:?}");
}

/// However many callers there are, the server is asked by one call whether it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_closed_by_one_probe() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let service = Arc::new(Service::on(at(&proxy.url())));
    assert!(service.hits().await);
    proxy.set(Mode::Refuse);
    again(HEALED, async || {
        let _refused = service.get().await;
        service.breaker().await.state != BreakerState::Closed
    })
    .await;
    server.query(&["CONFIG", "RESETSTAT"]).expect("it answers");
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let service = Arc::clone(&service);
        callers.spawn(async move {
            let deadline = Instant::now() + HEALED;
            while service.get().await.is_err() {
                assert!(Instant::now() < deadline, "it is back");
                tokio::task::yield_now().await;
            }
        });
    }
    tokio::task::yield_now().await;
    proxy.set(Mode::Pass);
    callers.join_all().await;
    let stats = server.query(&["INFO", "commandstats"]).expect("it answers");
    let stats: String = redis::from_redis_value(stats).expect("a text");
    assert!(stats.contains("cmdstat_ping:calls=1,"), "{stats}");
    value(&service, 1).invalidate().await.expect("it is back");
}
