//! What a batch costs: commands that the server counts.

use keylatch::CachedBatch;

use super::{Db, products};
use crate::support::{RedisServer, keylatch};

#[tokio::test]
async fn a_hundred_records_are_one_read_one_pipeline_of_claims_and_one_of_fills() {
    let server = RedisServer::start();
    let db = Db::new(keylatch(&server));
    // Connects, and makes the scripts known.
    products(&db, vec![900, 901]).await.unwrap();
    let ids: Vec<u64> = (0..100).collect();

    server.forget_calls();
    assert_eq!(products(&db, ids.clone()).await.unwrap().len(), 100);
    let counts_of_load = server.all_calls();
    eprintln!("a load of 100: {counts_of_load:?}");
    assert_eq!(counts_of_load.get("mget"), Some(&1));
    assert_eq!(counts_of_load.get("evalsha"), Some(&100), "one fill a record");
    // Before 7.0 there is no `SET .. NX GET`, and stamps are made by a script.
    let by_script = server.info("redis_version").is_some_and(|version| version.starts_with("6."));
    assert_eq!(counts_of_load.contains_key("eval"), by_script);

    server.forget_calls();
    assert_eq!(products(&db, ids).await.unwrap().len(), 100);
    let counts = server.all_calls();
    eprintln!("a hit of 100: {counts:?}");
    assert_eq!(counts.get("mget"), Some(&1));
    assert_eq!(counts.get("set"), None);
    assert_eq!(counts.get("evalsha"), None);
}

/// Pipelines do not show in the server's counts, but reads of the socket do.
#[tokio::test]
async fn pipelines_are_few_reads_of_the_socket() {
    let server = RedisServer::start();
    let db = Db::new(keylatch(&server));
    products(&db, vec![900, 901]).await.unwrap();
    let events = |server: &RedisServer| -> u64 {
        server.info("total_reads_processed").expect("a counter").parse().expect("a number")
    };
    let before = events(&server);
    products(&db, (0..100).collect()).invalidate().await.unwrap();
    let invalidated = events(&server);
    products(&db, (0..100).collect()).await.unwrap();
    let loaded = events(&server);
    eprintln!(
        "reads of the socket: {} to invalidate, {} to load",
        invalidated - before,
        loaded - invalidated
    );
    // A pipeline of 100 fills with their envelopes is a few packets; a command each would be hundreds of reads.
    assert!(loaded - invalidated < 20, "{}", loaded - invalidated);
}
