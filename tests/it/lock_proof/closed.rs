//! R8: the server closes connections in the middle of what is asked over them. What it had not carried out is asked for again,
//! and what a lost connection still has on its way never comes once the server has closed it.

use std::time::{Duration, Instant};

use keylatch::{Keylatch, ReleaseError};
use redis::Value;

use crate::support::{Proxy, RedisServer, keylatch, until};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(30);
/// How much later a request comes that a lost connection had on its way.
const LATE: Duration = Duration::from_secs(1);

fn is_held(server: &RedisServer) -> bool {
    server.command("EXISTS test#lock:closed").as_deref() == Some(":1")
}

/// The ids of such connections of clients.
pub(crate) fn connections(server: &RedisServer, which: fn(&str) -> bool) -> Vec<String> {
    let list = server.query(&["CLIENT", "LIST", "TYPE", "normal"]).expect("the server answers");
    let list: String = redis::from_redis_value(list).expect("text");
    let id = |line: &str| line.strip_prefix("id=")?.split(' ').next().map(str::to_owned);
    list.lines().filter(|line| which(line)).filter_map(id).collect()
}

/// Whether the server has a command from it that it has not carried out.
pub(crate) fn waits(line: &str) -> bool {
    let flags = line.split(' ').find_map(|field| field.strip_prefix("flags="));
    flags.is_some_and(|flags| flags.contains('b'))
}

/// Whether there was such a connection.
fn close(server: &RedisServer, id: &str) -> bool {
    server.query(&["CLIENT", "KILL", "ID", id]) == Ok(Value::Int(1))
}

/// From now on the server takes what would change something, and does not carry it out.
fn pause(server: &RedisServer) {
    server.query(&["CLIENT", "PAUSE", "60000", "WRITE"]).expect("the server answers");
}

/// Closes the connections over which something was asked for since the [pause], and goes on.
async fn close_in_the_middle(server: &RedisServer) {
    let mut waiting = Vec::new();
    until("nothing is asked for", || {
        waiting = connections(server, waits);
        !waiting.is_empty()
    })
    .await;
    for id in &waiting {
        assert!(close(server, id), "nobody else closes it");
    }
    server.query(&["CLIENT", "UNPAUSE"]).expect("the server answers");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_asked_for_again() {
    for is_fenced in [false, true] {
        // Of its own: what was asked for twice is given back for a while yet.
        let server = RedisServer::start();
        let cache = keylatch(&server);
        cache.lock("warm").fence().run(async |_lease| ()).await.unwrap();
        let lock = cache.lock("closed").ttl(LONG).wait(Duration::ZERO);
        let lock = if is_fenced { lock.fence() } else { lock };
        pause(&server);
        let (had, ()) = tokio::join!(lock.acquire(), close_in_the_middle(&server));
        let guard = had.expect("it is asked for again");
        guard.lease().check().unwrap();
        assert_eq!(guard.lease().token().is_some(), is_fenced);
        assert!(is_held(&server));
        guard.release().await.unwrap();
        until("it is still held", || !is_held(&server)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_extension_is_asked_for_again() {
    const TTL: Duration = Duration::from_secs(3);
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let guard = cache.lock("closed").ttl(TTL).acquire().await.unwrap();
    pause(&server);
    // It is asked for when a third of its life is over.
    close_in_the_middle(&server).await;
    until("it is not extended", || guard.lease().remaining() > TTL.mul_f64(0.8)).await;
    guard.lease().check().expect("it was extended in time");
    guard.release().await.unwrap();
    until("it is still held", || !is_held(&server)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_is_told_as_unknown_and_made_up_for() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let guard = cache.lock("closed").ttl(LONG).acquire().await.unwrap();
    pause(&server);
    let (released, ()) = tokio::join!(guard.release(), close_in_the_middle(&server));
    assert!(matches!(released, Err(ReleaseError::Unknown { .. })), "{released:?}");
    // Long before it would have ended by itself.
    until("it is not given back", || !is_held(&server)).await;
    cache.lock("closed").wait(LONG).run(async |_lease| ()).await.unwrap();
}

/// A connection is lost with a request for a lock on its way, which is asked for again, had and released. Whether the first
/// request is carried out after that, where the server `closes` the lost connection, too, or does not notice.
async fn comes_late(closes: bool) -> bool {
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let cache = Keylatch::builder().redis_url(proxy.url()).namespace("test").pool_size(1).build().unwrap();
    cache.lock("warm").run(async |_lease| ()).await.unwrap();
    proxy.haunt(Some(LATE));
    let losing = async {
        until("it is not asked for", || proxy.has_delayed("#lock:closed")).await;
        let lost = connections(&server, |_line| true);
        proxy.haunt(None);
        proxy.cut();
        lost
    };
    let (had, lost) = tokio::join!(cache.lock("closed").ttl(LONG).wait(Duration::ZERO).acquire(), losing);
    had.expect("it is asked for again").release().await.unwrap();
    if closes {
        let count = lost.iter().filter(|id| close(&server, id)).count();
        assert!(count > 0, "the server has noticed before");
    }
    let ends = Instant::now() + 2 * LATE;
    while Instant::now() < ends {
        if is_held(&server) {
            return true;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    false
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_comes_late_over_a_connection_that_the_server_has_closed() {
    let (not_closed, closed) = tokio::join!(comes_late(false), comes_late(true));
    assert!(not_closed, "the test does not bite");
    assert!(!closed, "it was carried out after the release");
}
