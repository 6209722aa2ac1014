//! Values in Redis that tokens guard: what a newer holder has touched, no older one writes, removes or changes by a script of
//! its own, and whoever reads without registering first undoes what another was told is done.

use std::fmt;
use std::time::Duration;

use keylatch::fencing::{FenceError, FencedKey, FencingToken, LUA};
use keylatch::redis::{AsyncCommands, RedisResult, Script};
use keylatch::{Connection, Keylatch, LockGuard, ReleaseError};

use crate::support::{RedisServer, keylatch};

const KEY: &str = "report:7";

fn token_of(guard: &LockGuard) -> FencingToken {
    guard.lease().token().expect("it was asked for")
}

/// The tokens of three holders, one after the other.
async fn tokens(cache: &Keylatch) -> [FencingToken; 3] {
    let token = async || {
        let guard = cache.lock("report").fence().acquire().await.unwrap();
        let token = token_of(&guard);
        guard.release().await.unwrap();
        token
    };
    [token().await, token().await, token().await]
}

/// What lies at a key.
fn at(server: &RedisServer, key: &str) -> Option<String> {
    redis::from_redis_value(server.query(&["GET", key]).expect("the server answers"))
        .expect("text, or nothing")
}

fn assert_stale<T: fmt::Debug>(outcome: Result<T, FenceError>, token: FencingToken, newest: FencingToken) {
    let error = outcome.expect_err("a newer holder was there");
    assert!(error.is_stale(), "{error}");
    let FenceError::Stale { resource, token: refused, newest: known } = error else { panic!("{error}") };
    assert_eq!((&*resource, refused, known), (KEY, token, Some(newest.get())));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_value_is_removed_by_its_newest_holder_alone() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let mut connection = cache.connection().expect("it is on Redis");
    let [older, holder, newer] = tokens(&cache).await;
    let report = FencedKey::new(KEY);
    let state = || (at(&server, KEY), at(&server, report.fence()));
    let with = |value: Option<&str>, token: FencingToken| (value.map(str::to_owned), Some(token.to_string()));

    report.write(&mut connection, holder, "draft").await.unwrap();
    assert_stale(report.remove(&mut connection, older).await, older, holder);
    assert_eq!(state(), with(Some("draft"), holder), "a refused removal changes nothing");
    report.remove(&mut connection, holder).await.unwrap();
    assert_eq!(state(), with(None, holder), "the fence stays");
    // Nobody older brings the value back.
    assert_stale(report.write(&mut connection, older, "late").await, older, holder);
    assert_stale(report.read::<String>(&mut connection, older).await, older, holder);
    assert_eq!(state(), with(None, holder));

    // A newer holder removes without having registered before, and has registered by that.
    report.write(&mut connection, holder, "final").await.unwrap();
    report.remove(&mut connection, newer).await.unwrap();
    assert_eq!(state(), with(None, newer));
    assert_stale(report.remove(&mut connection, holder).await, holder, newer);
    report.remove(&mut connection, newer).await.expect("what is not there is removed, too");
}

/// Whether the token is the newest is not known then, so nothing is done, and the error is another one than a refusal.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_fence_that_cannot_be_asked_is_no_refusal() {
    let mut server = RedisServer::start();
    let cache = keylatch(&server);
    let mut connection = cache.connection().expect("it is on Redis");
    let [_, holder, _] = tokens(&cache).await;
    let report = FencedKey::new(KEY);
    server.query(&["SET", KEY, "draft"]).unwrap();
    server.query(&["RPUSH", report.fence(), "no token"]).unwrap();
    let is_unknown = |error: &FenceError| {
        matches!(error, FenceError::Unknown { resource, .. } if resource.as_str() == KEY) && !error.is_stale()
    };
    let error = report.remove(&mut connection, holder).await.unwrap_err();
    assert!(is_unknown(&error), "{error}");
    assert_eq!(at(&server, KEY).as_deref(), Some("draft"));
    server.kill();
    let error = report.remove(&mut connection, holder).await.unwrap_err();
    assert!(is_unknown(&error), "{error}");
}

/// Adds apples to the stock, by the script that the documentation has.
async fn add(connection: &mut Connection, token: FencingToken, count: u32) -> RedisResult<u32> {
    let add = Script::new(&format!(
        "{LUA}
         if stale(KEYS[2], ARGV[1]) then return redis.error_reply('STALE a newer holder was there') end
         return redis.call('HINCRBY', KEYS[1], ARGV[2], ARGV[3])"
    ));
    let mut call = add.key("stock");
    call.key("stock#fence").arg(token.get()).arg("apples").arg(count);
    call.invoke_async(connection).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_of_ones_own_refuses_what_is_stale() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let mut connection = cache.connection().expect("it is on Redis");
    let [older, holder, newer] = tokens(&cache).await;
    assert_eq!(add(&mut connection, holder, 3).await.unwrap(), 3);
    assert_eq!(add(&mut connection, holder, 2).await.unwrap(), 5, "its own token is as good as a newer one");
    let refused = add(&mut connection, older, 100).await.unwrap_err();
    assert_eq!(refused.code(), Some("STALE"), "{refused}");
    assert_eq!(at(&server, "stock#fence"), Some(holder.to_string()));
    assert_eq!(add(&mut connection, newer, 1).await.unwrap(), 6, "nothing was added by the stale holder");
    assert_eq!(at(&server, "stock#fence"), Some(newer.to_string()));
    let refused = add(&mut connection, holder, 100).await.unwrap_err();
    assert_eq!(refused.code(), Some("STALE"), "{refused}");
}

/// What the check says to such a script: nothing, or the newest token.
async fn newest(connection: &mut Connection, token: u64) -> Option<u64> {
    let stale = Script::new(&format!("{LUA} return stale(KEYS[1], ARGV[1])"));
    let mut call = stale.key("fence");
    call.arg(token);
    call.invoke_async(connection).await.expect("the server answers")
}

/// As numbers, not as text, and exactly up to the greatest token that there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_are_compared_as_numbers() {
    const GREATEST: u64 = 1 << 53;
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let mut connection = cache.connection().expect("it is on Redis");
    for (token, expected) in [
        (9, None),
        (10, None),
        (9, Some(10)),
        (GREATEST - 1, None),
        (GREATEST, None),
        (GREATEST - 1, Some(GREATEST)),
    ] {
        assert_eq!(newest(&mut connection, token).await, expected, "{token}");
    }
}

/// Who has read the value before it writes what it has made of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reads {
    /// By `FencedKey::read`.
    Registered,
    /// By a plain `GET`.
    Unregistered,
}

/// The second holder reads; the first one, which does not know that its lock is lost, writes 100; the second writes one more
/// than it has read. Whether the first was told that its write is done, and what is there at the end.
async fn late_write(reads: Reads) -> (bool, Option<u32>) {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    let mut connection = one.connection().expect("it is on Redis");
    let balance = FencedKey::new("balance");
    let lock = |cache: &Keylatch| {
        cache.lock("account").ttl(Duration::from_secs(10)).wait(Duration::from_secs(60)).fence().acquire()
    };
    let stale = lock(&one).await.unwrap();
    let older = token_of(&stale);
    let _: Option<u32> = balance.read(&mut connection, older).await.unwrap();
    // As an eviction, or the end of the lease during a long pause.
    server.command("DEL test#lock:account").expect("the server answers");
    let next = lock(&two).await.unwrap();
    let newer = token_of(&next);
    let read: Option<u32> = match reads {
        Reads::Registered => balance.read(&mut connection, newer).await.unwrap(),
        Reads::Unregistered => connection.get("balance").await.unwrap(),
    };
    let late = balance.write(&mut connection, older, 100).await;
    assert!(late.as_ref().err().is_none_or(FenceError::is_stale), "{late:?}");
    balance.write(&mut connection, newer, read.unwrap_or(0) + 1).await.unwrap();
    let left = balance.read(&mut connection, newer).await.unwrap();
    next.release().await.unwrap();
    assert!(matches!(stale.release().await, Err(ReleaseError::NotHeld { .. })));
    (late.is_ok(), left)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_read_after_registering_stays_what_it_is() {
    assert_eq!(late_write(Reads::Registered).await, (false, Some(1)));
}

/// The companion: all writes are checked, but nobody has told the resource of the second holder before it reads. The first is
/// told that its write is done, and it is gone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_registering_first_an_acknowledged_write_is_lost() {
    assert_eq!(late_write(Reads::Unregistered).await, (true, Some(1)));
}
