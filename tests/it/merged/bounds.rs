//! How much travels together: so many callers and so many bytes at most, and who is alone goes at once and by himself.

use std::pin::pin;
use std::time::{Duration, Instant};

use futures_util::FutureExt as _;
use keylatch::{Keylatch, cached};
use redis::Value;
use tokio::task::JoinSet;

use crate::support::{RedisServer, builder};

/// What the store goes by: callers of one batch at most, bytes that its answer should not exceed, and bytes for one caller
/// above which nobody is merged.
const MOST_CALLERS: usize = 1_024;
const BYTES_OF_A_REPLY: usize = 256 << 10;
const LARGE: usize = 8 << 10;
/// Bytes of a value: with the envelopes around them, as many as may travel together stay below the limit of bytes.
const SHORT: usize = 10;
/// Entries.
const IDS: usize = 200;

#[cached(key = "text:{id}", ttl = "1h", local = off, skip(cache, bytes), using = cache)]
async fn text(cache: &Keylatch, id: usize, bytes: usize) -> String {
    "t".repeat(bytes)
}

/// A server that notes every command, and entries of so many bytes, each of which has been found before: so a hit reads one key,
/// and it is known how much a caller gets.
async fn filled(bytes: usize) -> (RedisServer, Keylatch) {
    let server = RedisServer::start_with(&["--slowlog-log-slower-than", "0", "--slowlog-max-len", "100000"]);
    // One connection, for others would be dialled meanwhile. Patient, for nothing is to be asked twice.
    let settings = builder(&server).pool_size(1).cache_timeout(Duration::from_secs(10));
    let cache = settings.build().expect("good settings");
    for _ in 0..2 {
        for id in 0..IDS {
            assert_eq!(text(&cache, id, bytes).await.len(), bytes);
        }
    }
    server.query(&["SLOWLOG", "RESET"]).expect("it answers");
    (server, cache)
}

/// Asks as so many callers at the same time. On one thread, so that all others come while the first is on his way.
async fn ask_together(cache: &Keylatch, callers: usize, bytes: usize) {
    let mut calls = JoinSet::new();
    for caller in 0..callers {
        let cache = cache.clone();
        calls.spawn(async move { text(&cache, caller % IDS, bytes).await.len() });
    }
    assert!(calls.join_all().await.iter().all(|length| *length == bytes));
}

/// How many keys each command has named that read some, the fewest first.
fn reads(server: &RedisServer) -> Vec<usize> {
    let log = server.query(&["SLOWLOG", "GET", "100000"]).expect("it answers");
    let log: Vec<Vec<Value>> = redis::from_redis_value(log).expect("a log");
    let mut reads: Vec<usize> = log.iter().filter_map(|entry| keys_read(&entry[3])).collect();
    reads.sort_unstable();
    reads
}

/// How many keys a command names, by its words in the log; `None` if it reads none.
fn keys_read(words: &Value) -> Option<usize> {
    let words: Vec<String> = redis::from_redis_value(words.clone()).expect("words");
    if !["GET", "MGET"].contains(&words[0].as_str()) {
        return None;
    }
    // Of a long command, the last word tells how many there are in its place.
    let told = |word: &String| -> Option<usize> {
        word.strip_prefix("... (")?.strip_suffix(" more arguments)")?.parse().ok()
    };
    Some(words.len() - 2 + words.last().and_then(told).unwrap_or(1))
}

#[tokio::test]
async fn who_is_alone_reads_by_a_command_of_his_own() {
    let (server, cache) = filled(SHORT).await;
    server.forget_calls();
    for id in 0..IDS {
        text(&cache, id, SHORT).await;
    }
    assert_eq!(reads(&server), [1; IDS]);
    assert_eq!(server.calls("mget"), 0, "not even one of a single key");
}

/// He waits for nobody who might come: one turn of whoever drives the connection, and the server has the command.
#[tokio::test]
async fn who_is_alone_is_sent_at_once() {
    let (server, cache) = filled(SHORT).await;
    server.forget_calls();
    let mut call = pin!(text(&cache, 0, SHORT));
    assert!(call.as_mut().now_or_never().is_none(), "it is sent, and not answered yet");
    tokio::task::yield_now().await;
    // From here on this thread is not given away.
    let deadline = Instant::now() + Duration::from_secs(10);
    while server.calls("get") == 0 {
        assert!(Instant::now() < deadline, "it was not sent");
    }
    assert_eq!(call.await.len(), SHORT);
}

#[tokio::test]
async fn a_batch_is_bounded_by_its_callers() {
    let (server, cache) = filled(SHORT).await;
    ask_together(&cache, 1 + 3 * MOST_CALLERS, SHORT).await;
    // The first was alone.
    assert_eq!(reads(&server), [1, MOST_CALLERS, MOST_CALLERS, MOST_CALLERS]);
}

#[tokio::test]
async fn a_batch_is_bounded_by_its_bytes() {
    const BYTES: usize = 2_000;
    let (server, cache) = filled(BYTES).await;
    ask_together(&cache, MOST_CALLERS, BYTES).await;
    let reads = reads(&server);
    assert_eq!(reads.iter().sum::<usize>(), MOST_CALLERS);
    assert!(reads.iter().all(|keys| keys * BYTES <= BYTES_OF_A_REPLY), "{reads:?}");
    // It is not that they are all alone: there is an envelope around each value, and not as large as that.
    assert!(reads.iter().any(|keys| 2 * keys * BYTES > BYTES_OF_A_REPLY), "{reads:?}");
}

#[tokio::test]
async fn what_is_large_travels_alone() {
    let (server, cache) = filled(2 * LARGE).await;
    ask_together(&cache, 64, 2 * LARGE).await;
    assert_eq!(reads(&server), [1; 64]);
}
