//! Many callers share a few connections: none holds another up, and none gets another's answer.

use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use keylatch::Connection;
use redis::AsyncCommands;
use tokio::task::JoinSet;

use super::{built, connection};
use crate::support::dropped::dropped_after;
use crate::support::{Proxy, RedisServer, builder, until};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_waits_on_the_server_holds_nobody_up() {
    let server = RedisServer::start();
    let mut redis = built(builder(&server).pool_size(1));
    let mut waiting = redis.clone();
    let popped = tokio::spawn(async move { waiting.blpop::<_, (String, String)>("list", 0.0).await });
    until("it waits", || server.info("blocked_clients").as_deref() == Some("1")).await;
    for n in 0..100 {
        redis.set::<_, _, ()>("key", n).await.unwrap();
    }
    // Longer than any other command may take.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(!popped.is_finished(), "it has no time-out but its own");
    redis.rpush::<_, _, ()>("list", "value").await.unwrap();
    assert_eq!(popped.await.unwrap().unwrap(), ("list".to_owned(), "value".to_owned()));
    let none: Option<(String, String)> = redis.blpop("list", 0.01).await.unwrap();
    assert_eq!(none, None);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dropped_calls_mix_nothing_up() {
    const CALLERS: usize = 20;
    const CALLS: usize = 100;
    let server = RedisServer::start();
    let redis = connection(&server);
    let keys: Vec<String> = (0..CALLERS * CALLS).map(|n| format!("key:{n}")).collect();
    let pairs: Vec<(&String, usize)> = keys.iter().zip(0..).collect();
    redis.clone().mset::<_, _, ()>(&pairs).await.unwrap();
    assert_eq!(server.key_count(), keys.len());

    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let mut redis = redis.clone();
        callers.spawn(async move {
            let (mut dropped, mut answered) = (0, 0);
            for n in caller * CALLS..(caller + 1) * CALLS {
                let key = format!("key:{n}");
                // Begun by its first poll, and dropped right after or when it has been sent.
                let given_up = redis.get::<_, usize>(format!("key:{}", n / 2));
                dropped += usize::from(!dropped_after(given_up, 1, n % 8 == 0).await);
                assert_eq!(redis.get::<_, usize>(&key).await.unwrap(), n);
                answered += 1;
                let mut pipeline = redis::pipe();
                pipeline.get(&key).get("missing").cmd("ECHO").arg(&key);
                let soon = Duration::from_micros(fastrand::u64(1..500));
                match tokio::time::timeout(soon, pipeline.query_async(&mut redis)).await {
                    Ok(answers) => {
                        let answers: (usize, Option<usize>, String) = answers.unwrap();
                        assert_eq!(answers, (n, None, key));
                        answered += 2;
                    }
                    Err(_) => dropped += 1,
                }
            }
            (dropped, answered)
        });
    }
    let (dropped, answered): (Vec<usize>, Vec<u64>) = callers.join_all().await.into_iter().unzip();
    let (dropped, answered): (usize, u64) = (dropped.iter().sum(), answered.iter().sum());
    assert!(dropped >= 500, "only {dropped} were dropped");
    assert!(server.calls("get") >= answered + 100, "what was dropped had been sent");
}

const HUGE: usize = 64 << 20;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer_holds_up_little() {
    let (early, late) = beside_a_huge_answer(5).await;
    assert!(early > late, "{early} came before the huge answer, {late} behind it");
}

/// The companion that shows that the huge answer does hold up what shares its connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_answer_holds_up_its_own_connection() {
    let (early, late) = beside_a_huge_answer(1).await;
    assert_eq!(early, 0);
    assert!(late > 0);
}

/// How many small commands that were sent behind the huge one were answered before it, and how many were not.
async fn beside_a_huge_answer(pool_size: usize) -> (usize, usize) {
    let server = RedisServer::start();
    server.query(&["SETRANGE", "huge", &(HUGE - 1).to_string(), "x"]).unwrap();
    let proxy = Proxy::to(server.port()).await;
    let cache = builder(&server).redis_url(proxy.url()).pool_size(pool_size);
    let cache = cache.command_timeout(Duration::from_secs(30)).build().unwrap();
    let redis = cache.connection().unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while cache.health().await.servers[0].connections < pool_size {
        assert!(Instant::now() < deadline, "the pool is not full");
    }

    let mut caller = redis.clone();
    let mut huge = std::pin::pin!(caller.get::<_, Vec<u8>>("huge"));
    assert!(huge.as_mut().now_or_never().is_none(), "it is sent, and takes a while");
    let mut small: JoinSet<()> = JoinSet::new();
    let mut early = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            biased;
            answer = &mut huge => {
                assert_eq!(answer.unwrap().len(), HUGE);
                return (early, small.len());
            }
            Some(done) = small.join_next() => {
                done.unwrap();
                early += 1;
            }
            _ = tick.tick() => {
                small.spawn(get_small(redis.clone()));
            }
        }
    }
}

async fn get_small(mut redis: Connection) {
    assert_eq!(redis.get::<_, Option<u64>>("small").await.unwrap(), None);
}
