//! What is repeated and what is not, where an answer does not come.

use std::future::Future;
use std::time::{Duration, Instant};

use keylatch::{Builder, Connection, Keylatch};
use redis::{AsyncCommands, RedisResult};

use super::built;
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer, keylatch, until};

const LIMIT: Duration = Duration::from_secs(1);
/// What a busy machine may add.
const SLACK: Duration = Duration::from_millis(300);

/// A connection that has been used.
async fn behind_a_proxy() -> (RedisServer, Proxy, Connection) {
    behind_a_proxy_with(|builder| builder).await
}

async fn behind_a_proxy_with(change: impl Fn(Builder) -> Builder) -> (RedisServer, Proxy, Connection) {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let builder = Keylatch::builder().redis_url(proxy.url()).namespace("test").pool_size(1);
    let mut redis = built(change(builder.command_timeout(LIMIT)));
    redis.ping::<()>().await.unwrap();
    (server, proxy, redis)
}

/// Whatever may have been repeated has been by then.
async fn until_healed(redis: &mut Connection) {
    let deadline = Instant::now() + 10 * LIMIT;
    while redis.ping::<()>().await.is_err() {
        assert!(Instant::now() < deadline, "the connection does not come back");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_answer_is_swallowed_happens_once() {
    let (server, proxy, mut redis) = behind_a_proxy().await;
    proxy.set(Mode::SwallowAnswers);
    let began = Instant::now();
    let told: RedisResult<u64> = redis.incr("n", 1).await;
    assert!(told.as_ref().is_err_and(redis::RedisError::is_timeout), "{told:?}");
    assert!(began.elapsed() < LIMIT + SLACK);
    // No stream goes on behind a gap.
    proxy.set(Mode::Pass);
    proxy.cut();
    until_healed(&mut redis).await;
    assert_eq!(redis.get::<_, u64>("n").await.unwrap(), 1);
    assert_eq!(server.calls("incrby"), 1);
}

/// Whatever would be repeated is sent again at once: new connections work, and are cut in their turn.
async fn told_of_the_cut<T: std::fmt::Debug>(told: impl Future<Output = RedisResult<T>>) {
    let began = Instant::now();
    let told = told.await;
    assert!(told.as_ref().is_err_and(|error| !error.is_timeout()), "{told:?}");
    assert!(began.elapsed() < SLACK, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_change_whose_connection_is_cut_happens_once() {
    let (server, proxy, mut redis) = behind_a_proxy().await;
    for n in 1..=10 {
        proxy.set(Mode::CutAfter("counted"));
        told_of_the_cut(redis.incr::<_, _, u64>("counted", 1)).await;
        proxy.set(Mode::Pass);
        until_healed(&mut redis).await;
        assert_eq!(redis.get::<_, u64>("counted").await.unwrap(), n);
    }
    assert_eq!(server.calls("incrby"), 10);
}

/// A pipeline and a transaction are changes, too, though they begin with reading.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_whose_connection_is_cut_runs_once() {
    let (server, proxy, mut redis) = behind_a_proxy().await;
    for (n, atomic) in [(1, false), (2, true)] {
        let mut pipeline = redis::pipe();
        pipeline.get("counted").incr("counted", 1);
        let pipeline = if atomic { pipeline.atomic() } else { &mut pipeline };
        proxy.set(Mode::CutAfter("counted"));
        told_of_the_cut(pipeline.query_async::<(Option<u64>, u64)>(&mut redis)).await;
        proxy.set(Mode::Pass);
        until_healed(&mut redis).await;
        assert_eq!(redis.get::<_, u64>("counted").await.unwrap(), n);
    }
    assert_eq!(server.calls("incrby"), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_whose_connection_is_cut_is_repeated() {
    const ROUNDS: u64 = 10;
    let (server, proxy, redis) = behind_a_proxy().await;
    redis.clone().set::<_, _, ()>("key", 7).await.unwrap();
    for _ in 0..ROUNDS {
        // A connection that is still being made would be swallowed as well, and the command would wait for it.
        assert_eq!(redis.clone().get::<_, u64>("key").await.unwrap(), 7);
        let before = server.calls("get");
        proxy.set(Mode::SwallowAnswers);
        let mut caller = redis.clone();
        let told = tokio::spawn(async move { caller.get::<_, u64>("key").await });
        until("the server has answered", || server.calls("get") > before).await;
        proxy.set(Mode::Pass);
        proxy.cut();
        assert_eq!(told.await.unwrap().unwrap(), 7);
    }
    // An answer on its way may still have come, but hardly each time.
    assert!(server.calls("get") > 2 * ROUNDS, "none was repeated");
}

/// Each of them is cut, so that the last one's cut is what the reader is told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_is_repeated_as_often_as_is_allowed() {
    for allowed in [0, 1, 3] {
        let (server, proxy, mut redis) = behind_a_proxy_with(|builder| builder.max_retries(allowed)).await;
        proxy.set(Mode::CutAfter("read"));
        let told: RedisResult<Option<u64>> = redis.get("read").await;
        assert!(told.as_ref().is_err_and(|error| !error.is_timeout()), "{told:?}");
        // The server may still be about to read the last one.
        until("the server has got them all", || server.calls("get") > u64::from(allowed)).await;
        proxy.set(Mode::Pass);
        until_healed(&mut redis).await;
        assert_eq!(server.calls("get"), u64::from(allowed) + 1);
    }
}

/// A command that waits on the server has a connection of its own, and everything else in common with the others: it fails once
/// after their limit, and then at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_blocks_meets_a_black_hole_once() {
    let (_server, proxy, mut redis) = behind_a_proxy().await;
    proxy.set(Mode::Hold);
    let began = Instant::now();
    let told: RedisResult<Option<(String, u64)>> = redis.blpop("list", 0.0).await;
    let took = began.elapsed();
    assert!(told.as_ref().is_err_and(redis::RedisError::is_timeout), "{told:?}");
    assert!((LIMIT..LIMIT + SLACK).contains(&took), "{took:?}");
    let began = Instant::now();
    let told: RedisResult<Option<(String, u64)>> = redis.blpop("list", 0.0).await;
    assert!(told.is_err(), "{told:?}");
    assert!(began.elapsed() < Duration::from_millis(100), "{:?}", began.elapsed());
    proxy.set(Mode::Pass);
    until_healed(&mut redis).await;
    redis.rpush::<_, _, ()>("list", 7).await.unwrap();
    let popped: Option<(String, u64)> = redis.blpop("list", 0.0).await.unwrap();
    assert_eq!(popped, Some(("list".to_owned(), 7)));
}

/// It may wait for longer than the limit of commands, but for no longer than it asked for and that.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_blocks_waits_as_long_as_it_asked_for() {
    const WAIT: Duration = Duration::from_millis(1_500);
    let (server, _proxy, mut redis) = behind_a_proxy().await;
    let began = Instant::now();
    let popped: Option<(String, u64)> = redis.blpop("list", WAIT.as_secs_f64()).await.unwrap();
    assert_eq!(popped, None);
    assert!((WAIT..WAIT + SLACK).contains(&began.elapsed()), "{:?}", began.elapsed());
    let mut waiting = redis.clone();
    let began = Instant::now();
    let told =
        tokio::spawn(
            async move { waiting.blpop::<_, Option<(String, u64)>>("list", WAIT.as_secs_f64()).await },
        );
    until("the server waits", || server.info("blocked_clients").as_deref() == Some("1")).await;
    server.signal("STOP");
    let told = told.await.unwrap();
    let took = began.elapsed();
    server.signal("CONT");
    assert!(told.as_ref().is_err_and(redis::RedisError::is_timeout), "{told:?}");
    assert!((WAIT + LIMIT..WAIT + LIMIT + SLACK).contains(&took), "{took:?}");
}

/// Our own scripts go by their hashes, and by their source only where the server does not know them.
#[tokio::test]
async fn forgotten_scripts_cost_one_more_call() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    // By two scripts: a lock without a token is taken by a plain command.
    let lock_and_release =
        async || cache.lock("lock").fence().acquire().await.unwrap().release().await.unwrap();
    lock_and_release().await;
    for _ in 0..3 {
        server.query(&["CONFIG", "RESETSTAT"]).unwrap();
        lock_and_release().await;
        assert_eq!((server.calls("evalsha"), server.calls("eval")), (2, 0));
        server.query(&["SCRIPT", "FLUSH"]).unwrap();
        lock_and_release().await;
        assert_eq!((server.calls("evalsha"), server.calls("eval")), (4, 2));
        lock_and_release().await;
        assert_eq!((server.calls("evalsha"), server.calls("eval")), (6, 2));
    }
}

/// A dial may take 10 s, and the command that waits for it only 1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_limit_of_a_command_includes_the_wait_for_a_connection() {
    let (server, proxy, mut redis) = behind_a_proxy().await;
    proxy.set(Mode::Hold);
    proxy.cut();
    let mut fresh =
        built(Keylatch::builder().redis_url(proxy.url()).namespace("test").command_timeout(LIMIT));
    for redis in [&mut redis, &mut fresh] {
        let began = Instant::now();
        let told: RedisResult<Option<u64>> = redis.get("key").await;
        let took = began.elapsed();
        assert!(told.as_ref().is_err_and(redis::RedisError::is_timeout), "{told:?}");
        assert!((LIMIT..LIMIT + SLACK).contains(&took), "{took:?}");
    }
    assert_eq!(server.calls("get"), 0);
    proxy.set(Mode::Pass);
    until_healed(&mut redis).await;
    until_healed(&mut fresh).await;
}
