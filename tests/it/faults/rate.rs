//! The circuit breaker opens where too many of enough commands fail within a window. Here each fails by itself: the
//! server has it, and its connection is reset, while every dial succeeds, so that nothing but the count can open it.

use std::time::Duration;

use keylatch::redis::{AsyncCommands, RedisResult};
use keylatch::{BreakerState, Builder};

use super::witness::{SOON, Service, again, at};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer};

/// What the failing commands concern, and no others do.
const KEY: &str = "failing";

struct Failing {
    server: RedisServer,
    _proxy: Proxy,
    service: Service,
}

impl Failing {
    async fn with(settings: impl FnOnce(Builder) -> Builder) -> Self {
        let server = RedisServer::start();
        let proxy = Proxy::to(server.port()).await;
        proxy.set(Mode::CutAfter(KEY));
        let service = Service::on(settings(at(&proxy.url()).pool_size(1)));
        Self { server, _proxy: proxy, service }
    }

    /// So many commands that fail. Changes are not repeated, so that each is one failure.
    async fn fail(&self, times: u32) {
        for _ in 0..times {
            let told: RedisResult<()> = self.service.connection().set(KEY, 1).await;
            let error = told.expect_err("its connection is reset");
            assert!(!error.is_timeout(), "{error}");
        }
    }

    /// So many that are answered.
    async fn succeed(&self, times: u32) {
        for _ in 0..times {
            self.service.get().await.expect("it is answered");
        }
    }

    /// How often the breaker has opened, and how many failures it counts.
    async fn counts(&self) -> (u64, u32) {
        let status = self.service.breaker().await;
        (status.opened, status.failures)
    }

    /// How many of the commands reached the server.
    fn sent(&self) -> u64 {
        self.server.calls("set")
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_when_as_many_have_failed_as_must_be_counted() {
    let failing = Failing::with(|builder| builder.breaker_minimum_calls(4)).await;
    failing.fail(3).await;
    assert_eq!(failing.counts().await, (0, 3), "three are too few");
    failing.fail(1).await;
    assert_eq!(failing.sent(), 4, "a dial that fails would open it, too");
    assert_eq!(failing.counts().await.0, 1);
    // Nothing is wrong with its probe.
    again(SOON, async || failing.service.breaker().await.state == BreakerState::Closed).await;
    let status = failing.service.breaker().await;
    assert_eq!((status.opened, status.closed, status.failures), (1, 1, 0), "{status:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_stays_closed_below_the_number_that_must_be_counted() {
    let failing = Failing::with(|builder| builder.breaker_minimum_calls(1_000)).await;
    failing.fail(40).await;
    assert_eq!((failing.counts().await, failing.sent()), ((0, 40), 40));
}

/// A command whose connection broke has not been answered: counted as both, at most half of all would ever have failed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_opens_at_the_share_of_failures_that_is_set() {
    let failing = Failing::with(|builder| builder.breaker_minimum_calls(4)).await;
    failing.succeed(30).await;
    failing.fail(20).await;
    assert_eq!(failing.counts().await, (0, 20), "two of five");
    // Of thirty answers, and the one that tells the counts.
    failing.fail(11).await;
    assert_eq!(failing.sent(), 31);
    assert_eq!(failing.counts().await.0, 1, "half of them");

    let failing = Failing::with(|builder| builder.breaker_minimum_calls(4).breaker_failure_rate(0.2)).await;
    failing.succeed(30).await;
    failing.fail(7).await;
    assert_eq!(failing.counts().await, (0, 7), "less than a fifth");
    failing.fail(1).await;
    assert_eq!(failing.counts().await.0, 1, "a fifth");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_that_are_older_than_the_window_do_not_count() {
    const WINDOW: Duration = Duration::from_secs(2);
    let failing = Failing::with(|builder| builder.breaker_minimum_calls(4).breaker_window(WINDOW)).await;
    failing.fail(3).await;
    tokio::time::sleep(WINDOW + Duration::from_millis(50)).await;
    failing.fail(3).await;
    assert_eq!(failing.counts().await, (0, 3), "the others are forgotten");
    failing.fail(1).await;
    assert_eq!(failing.counts().await.0, 1, "these four are not");
}
