//! Lives as a server has them: what `ttl_from`, `negative_ttl` and `jitter` make of the time for which an entry is kept.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use keylatch::{Keylatch, cached};

use super::left;
use crate::support::{RedisServer, keylatch};

/// The life that the server gave to what a call has stored, in milliseconds: what is left of it, and at most so much more as
/// has passed since the call began.
async fn life<T>(server: &RedisServer, key: &str, call: impl Future<Output = T>) -> RangeInclusive<i64> {
    let began = Instant::now();
    call.await;
    let left = left(server, key);
    // Both clocks tell whole milliseconds.
    let passed = i64::try_from(began.elapsed().as_millis()).expect("moments") + 2;
    left..=left + passed
}

#[cached(key = "own:{seconds}", ttl_from = Duration::from_secs(*result), skip(cache), using = cache)]
async fn own(cache: &Keylatch, seconds: u64) -> u64 {
    seconds
}

#[tokio::test]
async fn a_value_has_the_life_that_it_asks_for() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    // The last is longer than stamps live by themselves.
    for (seconds, millis) in [(1, 1_000), (90, 90_000), (3_600, 3_600_000), (200_000, 200_000_000)] {
        let life = life(&server, &format!("test:own:{seconds}"), own(&cache, seconds)).await;
        assert!(life.contains(&millis), "{seconds} s: {life:?}");
    }
    own(&cache, 0).await;
    assert!(left(&server, "test:own:0") < 0, "no life at all");
}

#[cached(key = "found:{id}", ttl = "1h", negative_ttl = "1m", skip(cache), using = cache)]
async fn found(cache: &Keylatch, id: u32) -> Option<u32> {
    (id > 0).then_some(id)
}

#[cached(key = "kept:{id}", ttl = "1h", negative_ttl = off, skip(cache), using = cache)]
async fn kept_if_found(cache: &Keylatch, id: u32) -> Option<u32> {
    (id > 0).then_some(id)
}

#[tokio::test]
async fn an_absence_has_a_life_of_its_own() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let absence = life(&server, "test:found:0", found(&cache, 0)).await;
    assert!(absence.contains(&60_000), "{absence:?}");
    let value = life(&server, "test:found:1", found(&cache, 1)).await;
    assert!(value.contains(&3_600_000), "{value:?}");

    kept_if_found(&cache, 0).await;
    assert!(left(&server, "test:kept:0") < 0, "it is not stored");
    let value = life(&server, "test:kept:1", kept_if_found(&cache, 1)).await;
    assert!(value.contains(&3_600_000), "{value:?}");
}

#[cached(key = "jittered:{id}", ttl = "100s", jitter = "20%", skip(cache), using = cache)]
async fn jittered(cache: &Keylatch, id: u32) -> u32 {
    id
}

#[cached(key = "steady:{id}", ttl = "100s", skip(cache), using = cache)]
async fn steady(cache: &Keylatch, id: u32) -> u32 {
    id
}

/// How far the lives of two hundred entries of a hundred seconds lie apart at least, all of which are within the fifth that
/// jitter may take.
fn spread(lives: &[RangeInclusive<i64>]) -> i64 {
    let shortest = lives.iter().map(RangeInclusive::end).min().expect("there are some");
    let longest = lives.iter().map(RangeInclusive::start).max().expect("there are some");
    assert!(lives.iter().all(|life| *life.end() >= 80_000 && *life.start() <= 100_000), "{lives:?}");
    longest - shortest
}

#[tokio::test]
async fn jitter_only_shortens_and_takes_all_that_it_may() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let (mut jittering, mut alike) = (Vec::new(), Vec::new());
    for id in 0..200 {
        jittering.push(life(&server, &format!("test:jittered:{id}"), jittered(&cache, id)).await);
        alike.push(life(&server, &format!("test:steady:{id}"), steady(&cache, id)).await);
    }
    // Of 200 draws, all would be within the same half once in more than 10^57 runs.
    assert!(spread(&jittering) > 10_000, "{jittering:?}");
    assert!(alike.iter().all(|life| life.contains(&100_000)), "{alike:?}");
}
