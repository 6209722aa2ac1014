//! Independent masters, addressed one by one: what happens to one is nothing to the others.

use std::time::{Duration, Instant};

use keylatch::Keylatch;
use redis::AsyncCommands;

use crate::support::RedisServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_is_reached_by_itself() {
    let mut servers: Vec<RedisServer> = (0..4).map(|_| RedisServer::start()).collect();
    let (store, masters) = servers.split_at_mut(1);
    let cache = Keylatch::builder()
        .redis_url(store[0].url())
        .lock_urls(masters.iter().map(RedisServer::url))
        .command_timeout(Duration::from_secs(1))
        .namespace("test")
        .build()
        .expect("good settings");
    assert_eq!(cache.lock_masters().len(), 3);
    for (n, master) in cache.lock_masters().iter().enumerate() {
        master.clone().set::<_, _, ()>("number", n).await.expect("it is up");
    }
    for (n, server) in masters.iter().enumerate() {
        let stored: usize =
            redis::from_redis_value(server.query(&["GET", "number"]).expect("it answers")).expect("a number");
        assert_eq!(stored, n, "in the order in which they were named");
    }
    assert_eq!(store[0].key_count(), 0, "the store is another server");

    masters[1].kill();
    masters[2].signal("STOP");
    for (n, master) in cache.lock_masters().iter().enumerate() {
        let began = Instant::now();
        let found = master.clone().get::<_, usize>("number").await;
        assert_eq!(found.ok(), (n == 0).then_some(0));
        assert!(began.elapsed() < Duration::from_millis(1_300), "{n}: {:?}", began.elapsed());
    }
    masters[2].signal("CONT");
}
