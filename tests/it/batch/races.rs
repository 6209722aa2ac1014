//! Invalidations while a batch is loaded: they void the records that they name, and no others.

use std::sync::Arc;

use keylatch::{CachedBatch, CachedCall, Key};

use super::{Db, product, products, soon, stores};

#[tokio::test]
async fn one_invalidation_voids_one_record() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        for by_tag in [false, true] {
            db.close();
            let ids = if by_tag { vec![4, 5, 6] } else { vec![1, 2, 3] };
            let load = tokio::spawn({
                let (db, ids) = (Arc::clone(&db), ids.clone());
                async move { products(&db, ids).await }
            });
            db.until_runs(if by_tag { 2 } else { 1 }).await;
            if by_tag {
                db.keylatch.invalidate_tag(Key::of("one").part(&5)).await.unwrap();
            } else {
                product(&db, 2).invalidate().await.unwrap();
            }
            db.open();
            assert_eq!(soon(load).await.unwrap().unwrap().len(), 3);
            let mut left: Vec<u64> = products(&db, ids.clone()).peek().await.unwrap().into_keys().collect();
            left.sort_unstable();
            assert_eq!(left, [ids[0], ids[2]]);
        }
    }
}

#[tokio::test]
async fn whoever_calls_after_an_invalidation_does_not_join_an_older_load() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        db.close();
        let older = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![1, 2]).await }
        });
        db.until_runs(1).await;
        products(&db, vec![1]).invalidate().await.unwrap();
        let later = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![1, 2]).await }
        });
        db.until_runs(2).await;
        db.open();
        soon(older).await.unwrap().unwrap();
        soon(later).await.unwrap().unwrap();
        assert_eq!(db.runs(), [vec![1, 2], vec![1]]);
        assert_eq!(products(&db, vec![1, 2]).peek().await.unwrap().len(), 2);
    }
}

#[tokio::test]
async fn a_refresh_that_was_overtaken_is_not_stored() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Arc::new(Db::new(keylatch));
        products(&db, vec![1, 2]).await.unwrap();
        db.close();
        let refresh = tokio::spawn({
            let db = Arc::clone(&db);
            async move { products(&db, vec![1, 2]).refresh().await }
        });
        db.until_runs(2).await;
        assert_eq!(products(&db, vec![1, 2]).await.unwrap().len(), 2, "the old ones answer meanwhile");
        product(&db, 1).invalidate().await.unwrap();
        db.open();
        assert_eq!(soon(refresh).await.unwrap().unwrap().len(), 2);
        let left = products(&db, vec![1, 2]).peek().await.unwrap();
        assert_eq!(left.into_keys().collect::<Vec<_>>(), [2]);
    }
}
