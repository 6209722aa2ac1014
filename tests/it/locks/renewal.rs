//! Held locks are extended together, whether or not their bodies are polled; their loss is told in time, also when nobody
//! answers.

use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keylatch::{Key, Keylatch, LockError};
use tokio::sync::Barrier;

use super::lock;
use crate::support::{RedisServer, keylatch, until};

const TTL: Duration = Duration::from_millis(600);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_locks_are_extended_in_few_requests() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let guards =
        join_all((0..300_u32).map(|index| cache.lock(Key::of("held").part(&index)).ttl(TTL).acquire())).await;
    let guards: Vec<_> = guards.into_iter().map(Result::unwrap).collect();
    let reads = || server.info("total_reads_processed").unwrap().parse::<u64>().unwrap();
    let (read, extended) = (reads(), server.calls("evalsha"));
    tokio::time::sleep(TTL * 4).await;
    let (read, extended) = (reads() - read, server.calls("evalsha") - extended);
    for guard in &guards {
        guard.lease().check().expect("it was extended");
    }
    assert!(extended >= 300 * 8, "{extended} were extended");
    // Each look at the locks takes those that are due about then. The rest is what connections say of themselves.
    assert!(read < extended / 20, "{read} reads for {extended} extensions");
    for ended in join_all(guards.into_iter().map(keylatch::LockGuard::release)).await {
        ended.unwrap();
    }
    assert_eq!(server.key_count(), 0);
}

/// The future of a body that holds a lock is not polled any more, as in a `select!` that is busy elsewhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_extended_while_nobody_polls_its_body() {
    let server = RedisServer::start();
    for cache in [keylatch(&server), Keylatch::in_memory()] {
        let mut held = Box::pin(lock(&cache, TTL).run(async |lease| {
            tokio::time::sleep(TTL / 10).await;
            lease.check()
        }));
        // Until it waits in its body.
        let deadline = Instant::now() + TTL / 20;
        while Instant::now() < deadline {
            let polled = poll_fn(|cx| Poll::Ready(held.as_mut().poll(cx).is_ready())).await;
            assert!(!polled);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        tokio::time::sleep(TTL * 3).await;
        let busy = lock(&cache, TTL).wait(Duration::ZERO).acquire().await;
        assert!(matches!(busy, Err(LockError::Busy { .. })), "{busy:?}");
        held.await.unwrap().unwrap();
    }
}

/// Nobody answers: the loss is told before the lock can end at the server, and not without need before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_loss_is_told_in_time_when_nobody_answers() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    for pause in [0, 100, 250] {
        let guard = lock(&cache, TTL).acquire().await.unwrap();
        tokio::time::sleep(Duration::from_millis(pause)).await;
        server.signal("STOP");
        let stopped = Instant::now();
        let left = guard.lease().remaining();
        guard.lease().lost().await;
        let after = stopped.elapsed();
        server.signal("CONT");
        assert!(left <= TTL && left >= TTL / 2, "{left:?}");
        // An extension may have been under way, and been answered, as the server stopped.
        assert!(
            after + Duration::from_millis(5) >= left && after < TTL,
            "{left:?} left, lost after {after:?}"
        );
        assert!(guard.lease().check().is_err());
        let _unknown_or_not_held = guard.release().await;
        crate::support::until("it is free again", || server.key_count() == 0).await;
    }
}

/// To the millisecond, on a clock that stands still.
#[tokio::test(start_paused = true)]
async fn the_loss_is_told_at_its_moment() {
    let cache = Keylatch::in_memory();
    for seconds in [1, 10, 60] {
        let ttl = Duration::from_secs(seconds);
        let guard = lock(&cache, ttl).extend_off().acquire().await.unwrap();
        let began = tokio::time::Instant::now();
        guard.lease().lost().await;
        // 1 % and 2 ms before anybody else can have it.
        let (lost, expected) = (began.elapsed(), ttl.mul_f64(0.99).saturating_sub(Duration::from_millis(2)));
        assert!(lost >= expected && lost <= expected + Duration::from_millis(1), "{lost:?}");
        let _not_held = guard.release().await;
    }
}

/// A body that blocks its thread is not stopped, but can ask: by the clock alone, whatever the runtime does.
#[tokio::test]
async fn a_blocked_runtime_does_not_hide_the_loss() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let held = lock(&cache, Duration::from_millis(200)).on_lost_continue().run(async |lease| {
        lease.check().expect("it was just had");
        std::thread::sleep(Duration::from_millis(400));
        lease.check()
    });
    assert!(matches!(held.await.unwrap(), Err(LockError::Lost { .. })));
    // And it is not found done by a body that goes on after it.
    let stopped: Result<(), LockError> = lock(&cache, Duration::from_millis(200))
        .run(async |_lease| {
            tokio::task::yield_now().await;
            std::thread::sleep(Duration::from_millis(400));
            tokio::task::yield_now().await;
            unreachable!("it was lost");
        })
        .await;
    assert!(matches!(stopped, Err(LockError::Lost { .. })));
}

/// Somebody else has it: told with the next extension, long before the lease would have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_was_taken_away_is_told_at_once() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let ttl = Duration::from_secs(3);
    let guard = lock(&cache, ttl).acquire().await.unwrap();
    server.command("DEL test#lock:shared").expect("the server answers");
    let began = Instant::now();
    guard.lease().lost().await;
    assert!(began.elapsed() < ttl / 2, "{:?}", began.elapsed());
}

/// Twenty thousand keys that expire do not keep the next holder waiting: it does not wait for the server to notice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_holder_is_followed_in_time_among_many_keys() {
    let server = RedisServer::start();
    let many_keys = "for i = 1, 20000 do redis.call('SET', 'v:' .. i, 'x', 'EX', 3600) end";
    server.query(&["EVAL", many_keys, "0"]).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    let cache = keylatch(&server);
    for _ in 0..3 {
        let mut child = super::holding_child(&server, file.path()).await;
        let next = lock(&cache, TTL).wait(Duration::from_secs(5)).acquire();
        let killed = async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            child.kill().unwrap();
            child.wait().unwrap();
            Instant::now()
        };
        let (guard, killed) = tokio::join!(next, killed);
        let waited = killed.elapsed();
        assert!(waited <= TTL + Duration::from_millis(100), "{waited:?}");
        guard.unwrap().release().await.unwrap();
    }
}

/// Both threads of the runtime are blocked for longer than the lock lasts: only a thread of its own extends it meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thread_of_its_own_keeps_the_locks_of_a_blocked_runtime() {
    let server = RedisServer::start();
    for has_thread in [true, false] {
        let builder = crate::support::builder(&server);
        let cache = if has_thread { builder.lock_thread() } else { builder }.build().unwrap();
        // What the others block must not keep anybody from hearing that the lock is his.
        let all_are_held = Arc::new(Barrier::new(3));
        let block = async || {
            let (cache, all_are_held) = (cache.clone(), Arc::clone(&all_are_held));
            tokio::spawn(async move {
                let lock = cache.lock(Key::of("blocked").part(&fastrand::u32(..))).ttl(TTL);
                let guard = lock.acquire().await.expect("nobody else wants it");
                all_are_held.wait().await;
                std::thread::sleep(TTL * 2);
                guard.lease().check().is_ok()
            })
            .await
            .unwrap()
        };
        let (one, two, three) = tokio::join!(block(), block(), block());
        let kept = [one, two, three].into_iter().filter(|kept| *kept).count();
        assert_eq!(kept == 3, has_thread, "{kept} were kept");
    }
}

/// Hazard 10 on one master: an extension tells how long the server would have kept the lock. Less than its holder relied on is
/// a loss, though nobody else has had it: the next time somebody might.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_life_that_was_cut_short_on_the_server_is_a_loss() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let (ttl, key) = (Duration::from_secs(3), "test#lock:shared");
    for (life, is_lost) in [("2400", true), ("60000", false)] {
        let guard = lock(&cache, ttl).acquire().await.unwrap();
        assert_eq!(server.command(&format!("PEXPIRE {key} {life}")).as_deref(), Some(":1"), "{key}");
        let told = tokio::time::timeout(ttl / 2, guard.lease().lost()).await;
        assert_eq!(told.is_ok(), is_lost, "of {life} ms");
        assert_eq!(guard.lease().check().is_err(), is_lost, "of {life} ms");
        drop(guard);
        until("it is given back", || server.command(&format!("EXISTS {key}")).as_deref() == Some(":0")).await;
    }
}
