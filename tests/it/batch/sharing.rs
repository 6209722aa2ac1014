//! Records that somebody else loads: awaited, not loaded twice; and shared with the function for one of them.

use std::sync::Arc;

use keylatch::{CachedBatch, CachedCall, cached};

use super::{Db, Failed, MISSING, Product, named, product, products, soon, stores};
use crate::support::{RedisServer, keylatch, until};

#[tokio::test]
async fn entries_are_shared_with_the_function_for_one() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        product(&db, 1).await.unwrap();
        products(&db, vec![1, 2]).await.unwrap();
        assert_eq!(product(&db, 2).await.unwrap(), Some(named(2)));
        assert_eq!(db.runs(), [vec![1], vec![2]]);
        product(&db, 2).invalidate().await.unwrap();
        assert!(!products(&db, vec![1, 2]).peek().await.unwrap().contains_key(&2));
    }
}

#[cached(key = "product:{id}", ttl = "1h", tags = ["products", "one:{id}"], skip(db), using = db.keylatch)]
async fn existing(db: &Db, id: u64) -> Result<Product, Failed> {
    db.run(&[id]).await;
    if id < MISSING { Ok(named(id)) } else { Err(Failed) }
}

/// It shares what exists; an absence is nothing that it could answer with.
#[tokio::test]
async fn a_function_that_knows_no_absence_asks_again() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        products(&db, vec![1, MISSING]).await.unwrap();
        assert_eq!(existing(&db, 1).await, Ok(named(1)));
        assert_eq!(existing(&db, MISSING).await, Err(Failed));
        assert_eq!(products(&db, vec![1, MISSING]).await.unwrap().len(), 1);
        assert_eq!(db.runs(), [vec![1, MISSING], vec![MISSING], vec![MISSING]]);
    }
}

#[cached(key = "product:{id}", ttl = "1h", version = 2, tags = ["products", "one:{id}"], skip(db), using = db.keylatch)]
async fn newer(db: &Db, id: u64) -> Result<Option<Product>, Failed> {
    db.run(&[id]).await;
    Ok(Some(named(id)))
}

#[tokio::test]
async fn what_does_not_agree_is_not_shared() {
    let db = Db::new(keylatch::Keylatch::in_memory());
    products(&db, vec![1]).await.unwrap();
    newer(&db, 1).await.unwrap();
    products(&db, vec![1]).await.unwrap();
    assert_eq!(db.runs(), [vec![1], vec![1], vec![1]]);
}

#[tokio::test]
async fn loads_are_shared_in_a_process() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        db.close();
        let one = tokio::spawn({
            let db = Arc::clone(&db);
            async move { product(&db, 1).await }
        });
        db.until_runs(1).await;
        let two = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![1, 2, 3]).await }
        });
        db.until_runs(2).await;
        // The other way round: one of the batch, and two batches that overlap.
        let three = tokio::spawn({
            let db = Arc::clone(&db);
            async move { product(&db, 3).await }
        });
        let four = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![2, 4, 3]).await }
        });
        db.until_runs(3).await;
        db.open();
        assert_eq!(soon(one).await.unwrap().unwrap(), Some(named(1)));
        assert_eq!(soon(two).await.unwrap().unwrap().len(), 3);
        assert_eq!(soon(three).await.unwrap().unwrap(), Some(named(3)));
        assert_eq!(soon(four).await.unwrap().unwrap().len(), 3);
        assert_eq!(db.runs(), [vec![1], vec![2, 3], vec![4]]);
    }
}

#[tokio::test]
async fn loads_are_shared_over_instances() {
    let server = RedisServer::start();
    let (here, there) = (Arc::new(Db::new(keylatch(&server))), Arc::new(Db::new(keylatch(&server))));
    here.close();
    let first = tokio::spawn({
        let db = Arc::clone(&here);
        async move { products(&db, vec![1, 2]).await }
    });
    here.until_runs(1).await;
    let second = tokio::spawn({
        let db = Arc::clone(&there);
        async move { products(&db, vec![1, 2, 3]).await }
    });
    there.until_runs(1).await;
    here.open();
    assert_eq!(soon(first).await.unwrap().unwrap().len(), 2);
    assert_eq!(soon(second).await.unwrap().unwrap().len(), 3);
    assert_eq!((here.runs(), there.runs()), (vec![vec![1, 2]], vec![vec![3]]));
}

/// Each has claimed what the other asks for, too.
#[tokio::test]
async fn batches_that_cross_do_not_wait_for_each_other_forever() {
    let server = RedisServer::start();
    let dbs: Vec<_> = (0..2).map(|_| Arc::new(Db::new(keylatch(&server)))).collect();
    for round in 0..20 {
        let calls: Vec<_> = dbs
            .iter()
            .enumerate()
            .map(|(index, db)| {
                let db = Arc::clone(db);
                let mut ids: Vec<u64> = (round * 20..round * 20 + 20).collect();
                if index == 1 {
                    ids.reverse();
                }
                tokio::spawn(async move { products(&db, ids).await })
            })
            .collect();
        for call in calls {
            assert_eq!(soon(call).await.unwrap().unwrap().len(), 20);
        }
    }
    let loaded: usize = dbs.iter().flat_map(|db| db.runs()).map(|run| run.len()).sum();
    assert_eq!(loaded, 400, "each record is loaded once");
}

#[tokio::test]
async fn a_dropped_batch_frees_its_leases() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        db.close();
        let dropped = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![1, 2, 3]).await }
        });
        db.until_runs(1).await;
        let waits = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![2, 3]).await }
        });
        tokio::time::sleep(std::time::Duration::from_millis(30)).await;
        assert_eq!(db.runs().len(), 1, "the second waits");
        dropped.abort();
        db.open();
        assert_eq!(soon(waits).await.unwrap().unwrap().len(), 2);
        assert_eq!(soon(products(&db, vec![1])).await.unwrap().len(), 1);
        assert_eq!(db.runs(), [vec![1, 2, 3], vec![2, 3], vec![1]]);
        until("no load is under way", || db.runs().len() == 3).await;
    }
}
