//! The circuit breaker: what it costs while it is open, how often a server that hangs makes anybody wait, and how it closes.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keylatch::{BreakerState, CachedCall};
use tokio::task::JoinSet;

use super::refusals::Refusals;
use super::witness::{AT_ONCE, COMMAND, PATIENCE, SLACK, SOON, Service, again, at, value};
use crate::lock_proof::closed::{connections, waits};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn while_it_is_open_nothing_waits() {
    let mut server = RedisServer::start();
    let service = Service::on(at(&server.url()));
    assert!(service.hits().await);
    server.kill();
    let _first = service.get().await.expect_err("nobody listens");
    again(PATIENCE, async || service.breaker().await.state != BreakerState::Closed).await;

    let tasks = || tokio::runtime::Handle::current().metrics().num_alive_tasks();
    let (tasks_before, mut undisturbed) = (tasks(), 0);
    for _ in 0..3 {
        let refusals = Refusals::of(&service, 1_000).await;
        refusals.are_cheap("breaker open");
        undisturbed += u32::from(refusals.are_nearly_all_cheap("breaker open"));
    }
    assert!(undisturbed > 0, "one of a hundred takes long each time");
    for _ in 0..100 {
        let several = service.cache.lock_all(["one", "other"]).wait(Duration::ZERO);
        several.run(async |_lease| ()).await.expect_err("nobody listens");
    }
    // Of more than 3,000 locks that were asked for; a probe may be on its way.
    assert!(tasks() < tasks_before + 10, "what was refused leaves work behind: {} tasks", tasks());
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
    again(SOON, async || service.breaker().await.state == BreakerState::Closed).await;
    let status = service.breaker().await;
    assert_eq!((status.opened, status.closed, status.failures), (1, 1, 0), "{status:?}");
}

/// What was sent before it fell silent may still be answered: whoever waits in vain after that finds it silent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn late_answers_to_earlier_commands_are_no_sign_of_life() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let service = Arc::new(Service::on(at(&proxy.url()).pool_size(1)));
    assert!(service.hits().await);
    // The server puts it off, while nothing that comes later reaches it.
    server.query(&["CLIENT", "PAUSE", "400", "WRITE"]).expect("it can");
    let earlier = tokio::spawn({
        let service = Arc::clone(&service);
        async move { service.set().await }
    });
    again(PATIENCE, async || !connections(&server, waits).is_empty()).await;
    proxy.set(Mode::SwallowRequests);
    let began = Instant::now();
    service.get().await.expect_err("it is swallowed");
    assert!(began.elapsed() < COMMAND + SLACK);
    earlier.await.unwrap().expect("it was answered meanwhile");
    let began = Instant::now();
    service.get().await.expect_err("the server is known to be silent");
    assert!(began.elapsed() < AT_ONCE);
}

/// However many callers there are, the server is asked by one call whether it is back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_closed_by_one_probe() {
    let (server, proxy, service) = opened().await;
    server.forget_calls();
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let service = Arc::clone(&service);
        callers.spawn(async move {
            let deadline = Instant::now() + SOON;
            while service.get().await.is_err() {
                assert!(Instant::now() < deadline, "it is back");
                tokio::task::yield_now().await;
            }
        });
    }
    tokio::task::yield_now().await;
    proxy.set(Mode::Pass);
    callers.join_all().await;
    assert_eq!(server.calls("ping"), 1);
    value(&service, 1).invalidate().await.expect("it is back");
}

/// A service whose dials are refused, so that its breaker is open.
async fn opened() -> (RedisServer, Proxy, Arc<Service>) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let service = Arc::new(Service::on(at(&proxy.url())));
    assert!(service.hits().await);
    proxy.set(Mode::Refuse);
    again(PATIENCE, async || {
        let _refused = service.get().await;
        service.breaker().await.state != BreakerState::Closed
    })
    .await;
    (server, proxy, service)
}

/// The probe is on its way for as long as the proxy holds it back. Meanwhile nobody else gets through, or is kept
/// waiting; its answer closes the breaker.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn half_open_it_lets_one_probe_through_and_nobody_else() {
    const HELD: Duration = Duration::from_millis(300);
    let (server, proxy, service) = opened().await;
    let half_open = async || service.breaker().await.state == BreakerState::HalfOpen;
    server.forget_calls();
    proxy.set(Mode::Hold);
    // Not for the moment that a probe takes which is still refused: the next one comes later than that.
    again(PATIENCE, async || {
        let before = half_open().await;
        tokio::time::sleep(Duration::from_millis(10)).await;
        before && half_open().await
    })
    .await;
    let ends = Instant::now() + HELD;
    let mut callers = JoinSet::new();
    for _ in 0..64 {
        let service = Arc::clone(&service);
        callers.spawn(async move {
            let (mut calls, mut slowest) = (0_u32, Duration::ZERO);
            while Instant::now() < ends {
                let began = Instant::now();
                service.get().await.expect_err("only the probe gets through");
                slowest = slowest.max(began.elapsed());
                calls += 1;
                tokio::task::yield_now().await;
            }
            (calls, slowest)
        });
    }
    for (calls, slowest) in callers.join_all().await {
        assert!(calls > 0 && slowest < AT_ONCE, "{calls} calls, one of them in {slowest:?}");
    }
    assert!(half_open().await, "until it is answered");
    // That of the probe, and the one over which this is asked.
    let connections = server.info("total_connections_received");
    assert_eq!(connections.as_deref(), Some("2"));
    assert_eq!(server.calls("ping"), 0, "it has not arrived yet");
    proxy.set(Mode::Pass);
    again(SOON, async || service.breaker().await.state == BreakerState::Closed).await;
    assert_eq!(server.calls("ping"), 1);
    let status = service.breaker().await;
    assert_eq!((status.opened, status.closed, status.failures), (1, 1, 0), "{status:?}");
    assert_eq!(service.get().await.expect("it is closed"), None);
}
