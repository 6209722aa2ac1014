//! Countdown latches: each id counts once, whatever is lost on the way, and whoever waits goes on exactly when nothing is left.

use std::time::{Duration, Instant};

use keylatch::{Keylatch, LatchError};

use super::{LONG, places};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer, keylatch, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ids_count_once_and_nothing_opens_early() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let (latch, there) = (one.countdown_latch("work"), other.countdown_latch("work"));
        assert!(matches!(latch.left().await, Err(LatchError::NotSet { .. })));
        assert!(matches!(latch.count_down().await, Err(LatchError::NotSet { .. })));
        latch.set(3).await.unwrap();
        assert!(matches!(there.set(9).await, Err(LatchError::AlreadySet { left: 3, .. })));
        for _ in 0..3 {
            assert_eq!(there.count_down_as("a").await.unwrap(), 2);
        }
        let early = latch.wait(Duration::from_millis(60)).await.unwrap_err();
        assert!(matches!(early, LatchError::Timeout { .. }), "{early}");
        assert_eq!(latch.count_down_as("b").await.unwrap(), 1);
        assert_eq!(there.left().await.unwrap(), 1);
        assert_eq!(latch.count_down_as("c").await.unwrap(), 0);
        there.wait(LONG).await.unwrap();
        assert_eq!(there.count_down_as("d").await.unwrap(), 0, "it is over, and stays so");
        // The next count is another one: the same ids count again.
        there.set(1).await.unwrap();
        assert_eq!(latch.left().await.unwrap(), 1);
        assert_eq!(latch.count_down_as("a").await.unwrap(), 0);
        there.set(0).await.unwrap();
        latch.wait(Duration::ZERO).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_goes_on_when_nothing_is_left() {
    let server = RedisServer::start();
    for (one, other) in places(&server) {
        let (latch, there) = (one.countdown_latch("gate"), other.countdown_latch("gate"));
        // Some wait from before there is a count.
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..10 {
            let latch = latch.clone();
            waiting.spawn(async move { latch.wait(LONG).await.map(|()| Instant::now()) });
        }
        tokio::time::sleep(Duration::from_millis(30)).await;
        there.set(20).await.unwrap();
        let counting = (0..20).map(|_| there.count_down());
        let lefts = futures_util::future::try_join_all(counting).await.unwrap();
        let opened = Instant::now();
        assert_eq!(lefts.iter().filter(|left| **left == 0).count(), 1, "{lefts:?}");
        while let Some(ended) = waiting.join_next().await {
            let went_on = ended.unwrap().unwrap();
            // The pauses between two looks grow to 200 ms; all of them in less shows that they were woken, or are lucky.
            assert!(went_on.saturating_duration_since(opened) < Duration::from_millis(300));
        }
    }
}

/// The pauses between two looks are a fifth of a second by then, so who goes on at once was pushed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_end_is_pushed() {
    let server = RedisServer::start();
    let (one, other) = (keylatch(&server), keylatch(&server));
    let (latch, there) = (one.countdown_latch("pushed"), other.countdown_latch("pushed"));
    let mut late = Vec::new();
    for _ in 0..5 {
        latch.set(1).await.unwrap();
        let waiting = async {
            latch.wait(LONG).await.unwrap();
            Instant::now()
        };
        let opening = async {
            tokio::time::sleep(Duration::from_millis(700)).await;
            there.count_down().await.unwrap();
            Instant::now()
        };
        let (went_on, opened) = tokio::join!(waiting, opening);
        late.push(went_on.saturating_duration_since(opened));
    }
    late.sort_unstable();
    assert!(late[2] < Duration::from_millis(25), "{late:?}");
}

/// The answer is swallowed and the connection cut, so the request is sent again: it must not count twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_answer_does_not_count_twice() {
    const ROUNDS: u32 = 10;
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let cache = Keylatch::builder().redis_url(proxy.url()).namespace("test").build().unwrap();
    let latch = cache.countdown_latch("lossy");
    latch.set(1_000).await.unwrap();
    let counted_for = || server.calls("sadd");
    for round in 1..=ROUNDS {
        // On a connection that is there.
        while latch.left().await.is_err() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        let before = counted_for();
        proxy.set(Mode::Delay(Duration::from_millis(60)));
        let losing = async {
            // Once it has counted, the answer is on its way for another 60 ms.
            until("it has counted", || counted_for() > before).await;
            proxy.cut();
            proxy.set(Mode::Pass);
        };
        let id = round.to_string();
        let counting = async {
            loop {
                // Where the connection has given up, the caller asks again.
                match latch.count_down_as(id.as_str()).await {
                    Ok(left) => return left,
                    Err(error) => assert!(matches!(error, LatchError::Unknown { .. }), "{error}"),
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        let (left, ()) = tokio::join!(counting, losing);
        assert_eq!(left, 1_000 - round);
    }
    let sent = counted_for();
    assert!(sent > u64::from(ROUNDS + ROUNDS / 2), "hardly anything was sent twice: {sent}");
}

/// What a repetition does, without the luck of a network: the same request twice.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_late_request_does_not_count_in_the_next_round() {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let slow = Keylatch::builder().redis_url(proxy.url()).namespace("test").build().unwrap();
    let (late, latch) = (slow.countdown_latch("late"), keylatch(&server).countdown_latch("late"));
    latch.set(1).await.unwrap();
    assert_eq!(late.left().await.unwrap(), 1);
    // The request to count down is held back between its look and its count as often as it takes to hit that moment.
    for _ in 0..20 {
        let counting = late.count_down_as("late");
        let meanwhile = async {
            tokio::task::yield_now().await;
            proxy.set(Mode::Delay(Duration::from_millis(20)));
            tokio::time::sleep(Duration::from_millis(30)).await;
            latch.count_down_as("punctual").await.unwrap();
            latch.set(1).await.unwrap();
        };
        let (left, ()) = tokio::join!(counting, meanwhile);
        left.unwrap();
        proxy.set(Mode::Pass);
        // Either it counted in the old round, or in none: the new one is whole.
        assert_eq!(latch.left().await.unwrap(), 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_vanished_is_not_over() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let latch = cache.countdown_latch("gone");
    latch.set(2).await.unwrap();
    let losing = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        server.command("DEL test#latch:gone").unwrap();
    };
    let (waited, ()) = tokio::join!(latch.wait(LONG), losing);
    assert!(matches!(waited, Err(LatchError::Gone { .. })), "{waited:?}");
    for cache in [cache, Keylatch::in_memory()] {
        // A short life ends; counting down pushes it forward.
        let short = cache.countdown_latch("short").ttl(Duration::from_millis(300));
        short.set(5).await.unwrap();
        for left in (1..5).rev() {
            tokio::time::sleep(Duration::from_millis(200)).await;
            assert_eq!(short.count_down().await.unwrap(), left);
        }
        let waited = short.wait(LONG).await;
        assert!(matches!(waited, Err(LatchError::Gone { .. })), "{waited:?}");
        assert!(matches!(short.left().await, Err(LatchError::NotSet { .. })));
    }
    until("nothing is left on the server", || server.key_count() == 0).await;
}
