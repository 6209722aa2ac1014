//! Loads of others that take long, fail or never end.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use keylatch::{CachedBatch, Keylatch, cached};

use super::{Db, POISON, product, products, soon, stores};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer, builder, until};

/// The batch has loaded its own record by then, so its body runs again.
#[tokio::test]
async fn a_load_that_was_waited_for_and_failed_is_made_up_for() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        db.close();
        let leader = tokio::spawn({
            let db = Arc::clone(&db);
            async move { product(&db, 1).await }
        });
        db.until_runs(1).await;
        let batch = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![1, 2]).await }
        });
        db.until_runs(2).await;
        leader.abort();
        let _aborted = leader.await;
        db.open();
        assert_eq!(soon(batch).await.unwrap().unwrap().len(), 2);
        assert_eq!(db.runs(), [vec![1], vec![2], vec![1]]);
        assert_eq!(products(&db, vec![1, 2]).peek().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn leases_are_kept_while_the_body_runs() {
    let server = RedisServer::start();
    let instance =
        || Db::new(builder(&server).lease(Duration::from_millis(300)).build().expect("good settings"));
    let (here, there) = (Arc::new(instance()), instance());
    here.close();
    let load = tokio::spawn({
        let db = Arc::clone(&here);
        async move { products(&db, vec![1, 2, 3]).await }
    });
    here.until_runs(1).await;
    tokio::spawn({
        let db = Arc::clone(&here);
        async move {
            tokio::time::sleep(Duration::from_millis(1_200)).await;
            db.open();
        }
    });
    assert_eq!(soon(products(&there, vec![3, 2])).await.unwrap().len(), 2);
    assert_eq!(soon(load).await.unwrap().unwrap().len(), 3);
    assert!(there.runs().is_empty(), "the leases outlived themselves four times");
}

/// The result cannot be stored, or the leases cannot be given back, for the server is out of reach. When it is back, nobody waits
/// for what these loads had claimed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn leases_that_outlast_an_outage_are_given_back() {
    const CLAIMED: [u64; 4] = [2, 3, 4, POISON];
    let server = RedisServer::start();
    let proxy = Proxy::to(server.port()).await;
    let builder = Keylatch::builder().redis_url(proxy.url()).namespace("test");
    let db = Arc::new(Db::new(builder.lease(Duration::from_secs(60)).build().expect("good settings")));
    products(&db, vec![1]).await.unwrap();
    db.close();
    let loads = [vec![2, 3], vec![4, POISON]].map(|ids| {
        let db = Arc::clone(&db);
        tokio::spawn(async move { products(&db, ids).await })
    });
    db.until_runs(3).await;
    let is_leased = |id: u64| server.is_leased(&format!("test:product:{id}"));
    assert!(CLAIMED.into_iter().all(is_leased));
    proxy.set(Mode::Refuse);
    db.open();
    for load in loads {
        let _answered = soon(load).await.expect("it ends");
    }
    assert!(CLAIMED.into_iter().all(is_leased), "it was out of reach");
    proxy.set(Mode::Pass);
    until("the leases are given back", || !CLAIMED.into_iter().any(is_leased)).await;
}

#[cached(key = "late:{ids[]}", ttl = "1m", load_timeout = "100ms", skip(db), using = db.keylatch)]
async fn late(db: &Db, ids: Vec<u64>) -> HashMap<u64, u64> {
    let first = db.runs().is_empty();
    db.run(&ids).await;
    if first {
        tokio::time::sleep(Duration::from_millis(800)).await;
    }
    ids.into_iter().map(|id| (id, id)).collect()
}

#[tokio::test]
async fn a_load_past_its_time_lets_others_go_on() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        let first = tokio::spawn({
            let db = Arc::clone(&db);
            async move { late(&db, vec![1, 2]).await }
        });
        db.until_runs(1).await;
        let began = std::time::Instant::now();
        assert_eq!(soon(late(&db, vec![2, 3])).await.len(), 2);
        assert!(began.elapsed() < Duration::from_millis(600), "{:?}", began.elapsed());
        assert_eq!(soon(first).await.unwrap().len(), 2, "the late one still answers its own caller");
        assert_eq!(late(&db, vec![1]).peek().await.unwrap().len(), 0, "and is not stored");
    }
}
