//! What tests share: servers of their own, and other processes.

pub(crate) mod child;
pub(crate) mod cluster;
pub(crate) mod dropped;
pub(crate) mod length;
pub(crate) mod npm;
pub(crate) mod proxy;
pub(crate) mod redis_server;
pub(crate) mod replicated;
pub(crate) mod room;
pub(crate) mod sentinel;
pub(crate) mod tls;
pub(crate) mod upstash;

use std::time::{Duration, Instant};

pub(crate) use proxy::Proxy;
pub(crate) use redis_server::RedisServer;
pub(crate) use upstash::Upstash;

use keylatch::Keylatch;

/// A `Keylatch` of its own on that server.
pub(crate) fn keylatch(server: &RedisServer) -> Keylatch {
    builder(server).build().expect("the test's settings are good")
}

/// The same, before it is built.
pub(crate) fn builder(server: &RedisServer) -> keylatch::Builder {
    Keylatch::builder().redis_url(server.url()).namespace("test").command_timeout(Duration::from_secs(2))
}

/// Sends a signal to a process by `kill`.
pub(crate) fn signal(process: u32, name: &str) {
    let status = std::process::Command::new("kill")
        .args([format!("-{name}"), process.to_string()])
        .status()
        .expect("`kill` is installed");
    assert!(status.success(), "kill -{name} {process}");
}

/// Waits for a condition that must come true.
pub(crate) async fn until(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
