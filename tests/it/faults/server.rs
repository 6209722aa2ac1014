//! Faults of the server itself: it refuses the login, is full, loads, forgets, is demoted, or closes connections.

use std::time::{Duration, Instant};

use keylatch::{CachedCall, ReleaseError};

use super::witness::{
    AT_ONCE, COMMAND, LOOK_UP, NEXT_CALL, PATIENCE, PROBED, SLACK, SOON, Witness, again, at, value,
};
use crate::support::replicated::{follow, until_in_step};
use crate::support::{RedisServer, until};

/// A server that loads for longer is stuck.
const LONGEST_LOAD: Duration = Duration::from_secs(20);

const RIGHT: &str = "the-r1ght-word";
const WRONG: &str = "the-wr0ng-word";

/// With a password; as the server sees it, and as the witnesses do.
fn with_password() -> RedisServer {
    RedisServer::start_with(&["--requirepass", RIGHT])
}

fn url(server: &RedisServer, password: &str) -> String {
    format!("redis://:{password}@127.0.0.1:{}", server.port())
}

/// One command under a login of its own.
fn log_in_and(server: &RedisServer, password: &str, words: &[&str]) {
    let client = redis::Client::open(url(server, password)).expect("a good URL");
    let mut connection = client.get_connection().expect("the password is right");
    let (name, arguments) = words.split_first().expect("a command");
    redis::cmd(name).arg(arguments).exec(&mut connection).expect("it answers");
}

/// An error and its causes, as a log shows them.
fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(Some(error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_wrong_password() {
    let server = with_password();
    let witness = Witness::at(&url(&server, WRONG));
    let seen = witness.look().await;
    seen.fails_within("wrong password", AT_ONCE);
    let error = seen.invalidated.0.expect_err("it is refused");
    let told = chain(&error);
    assert!(told.contains("check the user and the password"), "{told}");
    for secret in [WRONG, RIGHT] {
        assert!(!format!("{told} {error:?}").contains(secret), "{told} {error:?}");
    }
    witness.look().await.again("wrong password, then", AT_ONCE);
    log_in_and(&server, RIGHT, &["CONFIG", "SET", "requirepass", WRONG]);
    witness.heals("wrong password", SOON).await;
}

/// Connections that there are go on; new ones are refused until the configuration follows.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_is_rotated() {
    let server = with_password();
    let witness = Witness::at(&url(&server, RIGHT));
    witness.works().await;
    log_in_and(&server, RIGHT, &["CONFIG", "SET", "requirepass", WRONG]);
    witness.look().await.works_within("password rotated", AT_ONCE);
    log_in_and(&server, WRONG, &["CLIENT", "KILL", "TYPE", "normal"]);
    witness.look().await.fails_within("password rotated, connections closed", AT_ONCE);
    log_in_and(&server, WRONG, &["CONFIG", "SET", "requirepass", RIGHT]);
    witness.heals("password rotated", SOON).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_more_clients() {
    let server = RedisServer::start();
    // Occupied before the limit is set: a connection is refused when it is one too many.
    let client = redis::Client::open(server.url()).expect("a good URL");
    let mut occupied: Vec<_> = (0..4).map(|_| client.get_connection().expect("there is room")).collect();
    let mut limit = |clients: &str| {
        redis::cmd("CONFIG").arg(&["SET", "maxclients", clients]).exec(&mut occupied[0]).expect("it answers");
    };
    limit("4");
    let witness = Witness::at(&server.url());
    witness.look().await.fails_within("no more clients", AT_ONCE);
    witness.look().await.again("no more clients, then", AT_ONCE);
    limit("1000");
    witness.heals("no more clients", SOON).await;
}

/// It answers, but only that it is not ready, so nobody waits for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loading() {
    let mut server = RedisServer::start_with(&["--rdbcompression", "no"]);
    let witness = Witness::at(&server.url());
    witness.works().await;
    let filler = "x".repeat(2_000);
    let mut fill = redis::pipe();
    for n in 0..20_000 {
        fill.set(format!("filler:{n}"), &filler).ignore();
    }
    let client = redis::Client::open(server.url()).expect("a good URL");
    fill.exec(&mut client.get_connection().expect("it answers")).expect("it answers");
    server.query(&["SAVE"]).expect("it answers");
    let looks =
        server.query(&["CONFIG", "GET", "loading-process-events-interval-bytes"]).expect("it answers");
    server.kill();
    // Some 0.1 ms for each key. While it loads, the server looks at its connections after so many bytes, and a greeting takes
    // several looks. A server that cannot be told does so after two million, a thousand keys: 0.15 s in which nobody is heard.
    let mut slowly = vec!["--key-load-delay", "100"];
    let mut waits = COMMAND;
    if redis::from_redis_value::<Vec<String>>(looks).is_ok_and(|setting| !setting.is_empty()) {
        slowly.extend(["--loading-process-events-interval-bytes", "200000"]);
        waits = LOOK_UP;
    }
    server.restart_with(&slowly);
    let seen = witness.look().await;
    assert!(
        server.query(&["DBSIZE"]).is_err_and(|error| error.code() == Some("LOADING")),
        "it is ready already"
    );
    seen.fails_within("loading", waits);
    witness.look().await.again("loading, then", LOOK_UP);
    let url = server.url();
    let ready = tokio::task::spawn_blocking(move || until_ready(&url));
    let began = Instant::now();
    let healed = witness.heals("loading", LONGEST_LOAD).await;
    let ready = ready.await.expect("it ends");
    let after = (began + healed.last()).saturating_duration_since(ready);
    eprintln!("loading: ended after {:?}, healed {after:?} later", ready - began);
    assert!(after < PROBED, "{after:?} after its end");
}

/// Asks a server that loads until it is ready.
fn until_ready(url: &str) -> Instant {
    let client = redis::Client::open(url).expect("a good URL");
    let deadline = Instant::now() + LONGEST_LOAD;
    loop {
        let connection = client.get_connection_with_timeout(Duration::from_secs(2));
        let asked = connection.and_then(|mut connection| redis::cmd("DBSIZE").exec(&mut connection));
        if asked.is_ok() {
            return Instant::now();
        }
        assert!(Instant::now() < deadline, "it is never ready: {asked:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Hits go on; what needs memory fails and says so, and invalidations, which need none, are carried out.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn out_of_memory() {
    let server = RedisServer::start();
    let witness = Witness::at(&server.url());
    witness.works().await;
    server.query(&["CONFIG", "SET", "maxmemory", "1"]).expect("it answers");
    let seen = witness.look().await;
    assert!(!seen.cached.0 && seen.cached.1 < AT_ONCE, "the entry is read: {seen:?}");
    assert!(seen.got.0.is_ok() && seen.invalidated.0.is_ok(), "neither needs memory: {seen:?}");
    assert!(seen.locked.1 < AT_ONCE && seen.set.1 < AT_ONCE, "{seen:?}");
    let set = seen.set.0.expect_err("there is no room");
    assert_eq!(set.code(), Some("OOM"), "{set}");
    let locked = seen.locked.0.expect_err("there is no room");
    assert!(chain(&locked).contains("OOM") && !locked.body_ran(), "{}", chain(&locked));

    let (before, began) = (witness.reader.runs(), Instant::now());
    assert_eq!(value(&witness.reader, 50).await, 1_050);
    assert!(began.elapsed() < AT_ONCE && witness.reader.runs() > before, "a miss runs its body");
    let stays = witness.reader.breaker().await;
    assert_eq!(stays.opened, 0, "a full server serves");
    server.query(&["CONFIG", "SET", "maxmemory", "0"]).expect("it answers");
    witness.look().await.works_within("memory again", AT_ONCE);
    let before = witness.reader.runs();
    for _ in 0..2 {
        assert_eq!(value(&witness.reader, 50).await, 1_050);
    }
    assert_eq!(witness.reader.runs(), before + 1, "it was not stored, and the next call stores it");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_are_forgotten() {
    let server = RedisServer::start();
    let witness = Witness::at(&server.url());
    witness.works().await;
    server.query(&["SCRIPT", "FLUSH"]).expect("it answers");
    server.forget_calls();
    for _ in 0..2 {
        value(&witness.invalidator, 2).invalidate().await.expect("it is told");
    }
    assert_eq!((server.calls("evalsha"), server.calls("eval")), (2, 1), "one command more, once");
    server.query(&["SCRIPT", "FLUSH"]).expect("it answers");
    witness.look().await.works_within("scripts forgotten", AT_ONCE);
    // And again while everybody invalidates: a script may be forgotten between its two commands.
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(300) {
        server.query(&["SCRIPT", "FLUSH"]).expect("it answers");
        value(&witness.invalidator, 2).invalidate().await.expect("it is told");
        witness.locker.job().await.expect("it is free");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_are_killed() {
    let server = RedisServer::start();
    // So many in so short a time are half of all commands, for which breakers open.
    let witness = Witness::with(|| at(&server.url()).breaker_minimum_calls(1_000));
    witness.works().await;
    for _ in 0..20 {
        server.query(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).expect("it answers");
        // A command may be sent before the end of its connection is noticed; then nobody knows whether it ran.
        let seen = witness.look().await;
        for took in [seen.cached.1, seen.invalidated.1, seen.locked.1, seen.set.1, seen.got.1] {
            assert!(took < AT_ONCE + SLACK, "{seen:?}");
        }
        assert!(seen.got.0.is_ok(), "a read is repeated: {seen:?}");
    }
    witness.heals("connections killed", NEXT_CALL).await;
}

/// Entries and stamps are gone together; whatever was in the memory of a process does not outlive them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_is_flushed() {
    let server = RedisServer::start();
    let witness = Witness::at(&server.url());
    witness.works().await;
    server.query(&["FLUSHALL"]).expect("it answers");
    for service in witness.all() {
        service.version.store(2, std::sync::atomic::Ordering::SeqCst);
    }
    let seen = witness.look().await;
    assert!(seen.cached.0 && seen.cached.1 < AT_ONCE, "a miss, and nobody waits: {seen:?}");
    assert!(seen.invalidated.0.is_ok() && seen.locked.0.is_ok() && seen.set.0.is_ok(), "{seen:?}");
    assert_eq!(value(&witness.reader, 1).await, 2_001, "nothing old");
    witness.heals("flushed", AT_ONCE).await;
}

/// Its holder is told with the next extension, a third of its `ttl` later, and not when its lease would have ended.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_is_held_is_lost_with_everything() {
    let server = RedisServer::start();
    let witness = Witness::at(&server.url());
    let ttl = Duration::from_secs(3);
    let guard = witness.locker.cache.lock("flushed").ttl(ttl).acquire().await.expect("it is free");
    let mut left = guard.lease().remaining();
    until("it is extended by itself", || {
        let before = std::mem::replace(&mut left, guard.lease().remaining());
        left > before
    })
    .await;
    guard.lease().check().expect("it is held");
    server.query(&["FLUSHALL"]).expect("it answers");
    let flushed = Instant::now();
    tokio::time::timeout(ttl, guard.lease().lost()).await.expect("its holder is told");
    let told = flushed.elapsed();
    eprintln!("flushed: the holder of a lock was told after {told:?}");
    assert!(told < ttl / 3 + SLACK, "{told:?}");
    assert!(guard.lease().check().is_err(), "it may not be relied on any more");
    assert!(matches!(guard.release().await, Err(ReleaseError::NotHeld { .. })));
    let next = witness.setter.cache.lock("flushed").wait(Duration::ZERO);
    next.run(async |_lease| ()).await.expect("it is free");
}

/// It is a replica now, and refuses writes: nobody may take that for success, and nothing is read that it may not be told.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn demoted() {
    let at_once = ["--repl-diskless-sync-delay", "0"];
    let (server, other) = (RedisServer::start_with(&at_once), RedisServer::start_with(&at_once));
    let witness = Witness::at(&server.url());
    witness.works().await;
    // They change places, so that it keeps what it has.
    follow(&other, server.port());
    until_in_step(&other).await;
    other.query(&["REPLICAOF", "NO", "ONE"]).expect("it answers");
    follow(&server, other.port());
    until_in_step(&server).await;
    let seen = witness.look().await;
    eprintln!("demoted: {seen:?}");
    assert!(!seen.cached.0 && seen.cached.1 < AT_ONCE, "the entry is read: {seen:?}");
    assert!(seen.got.0.is_ok() && seen.got.1 < AT_ONCE, "a read is answered: {seen:?}");
    assert!(seen.invalidated.0.is_err() && seen.locked.0.is_err() && seen.set.0.is_err(), "{seen:?}");
    // All were sent again, over connections that are left one after the other.
    for took in [seen.invalidated.1, seen.locked.1, seen.set.1] {
        assert!(took < AT_ONCE + SLACK, "{seen:?}");
    }
    // Whoever could not invalidate something there reads nothing there.
    let (service, before) = (&witness.invalidator, witness.invalidator.runs());
    assert_eq!(value(service, 1).await, 1_001);
    assert_eq!(service.runs(), before + 1, "the body answers");
    // Nor does whoever could not store, once that has cost it its connections.
    let service = &witness.reader;
    for id in 60..63 {
        assert_eq!(value(service, id).await, 1_000 + id);
    }
    let before = service.runs();
    assert_eq!(value(service, 1).await, 1_001);
    assert_eq!(service.runs(), before + 1, "the body answers");
    server.query(&["REPLICAOF", "NO", "ONE"]).expect("it answers");
    witness.heals("demoted", SOON).await;
    again(PATIENCE, async || value(&witness.invalidator, 2).invalidate().await.is_ok()).await;
}
