//! A connection that tells of changes is lost: what takes its place is asked to tell, too.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use keylatch::Keylatch;

use super::{Source, value};
use crate::support::proxy::Proxy;
use crate::support::{RedisServer, builder, until};

/// Calls until a hundred answers in a row have come without the server, and without the body.
async fn until_without_the_server(server: &RedisServer, source: &Source) {
    let began = Instant::now();
    loop {
        let (commands, loads) = (server.commands(), source.loads.load(Ordering::SeqCst));
        for _ in 0..100 {
            value(source).await;
        }
        // Watching over idle connections, and asking for this figure.
        let is_asked = server.commands() - commands >= 20;
        if !is_asked && source.loads.load(Ordering::SeqCst) == loads {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(5), "nothing is kept in memory");
    }
}

#[tokio::test]
async fn what_is_read_over_a_new_connection_is_watched_again() {
    let server = RedisServer::start();
    let watched = || server.info("tracking_clients").expect("the server answers");
    let proxy = Proxy::to(server.port()).await;
    let behind = Keylatch::builder().redis_url(proxy.url()).namespace("test").pool_size(1);
    let here = Source::new(behind.build().expect("good settings"));
    // Connects when it is first used.
    let there = builder(&server).pool_size(1).build().expect("good settings");
    until_without_the_server(&server, &here).await;
    assert_eq!(watched(), "1");
    proxy.cut();
    until("the connection is not lost", || watched() == "0").await;

    for round in 0..4 {
        let version = here.version.fetch_add(1, Ordering::SeqCst) + 1;
        there.invalidate("value:one").await.expect("the server is up");
        // The first change was told to nobody. The others are seen sooner than by the look, once a second, at whether the
        // connection still tells.
        let limit = Duration::from_millis(if round == 0 { 4_000 } else { 900 });
        let began = Instant::now();
        while value(&here).await != version {
            assert!(began.elapsed() < limit, "round {round}: the change is missed");
            tokio::task::yield_now().await;
        }
        until_without_the_server(&server, &here).await;
        assert_eq!(watched(), "2", "round {round}: both connections are told");
    }
}
