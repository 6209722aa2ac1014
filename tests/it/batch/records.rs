//! What reaches the body, what is stored, and what the handle names.

use std::collections::HashMap;
use std::time::Duration;

use keylatch::{CachedBatch, CachedCall, Keylatch, cache_invalidate, cached};

use super::{Db, Failed, MISSING, POISON, Product, named, product, products, stores};

fn of(ids: &[u64]) -> HashMap<u64, Product> {
    ids.iter().map(|&id| (id, named(id))).collect()
}

#[tokio::test]
async fn only_missing_ids_reach_the_body() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        assert_eq!(products(&db, vec![1, 2]).await.unwrap(), of(&[1, 2]));
        assert_eq!(products(&db, vec![3, 2, 1, 4]).await.unwrap(), of(&[1, 2, 3, 4]));
        assert_eq!(products(&db, vec![4, 1]).await.unwrap(), of(&[1, 4]));
        assert_eq!(products(&db, vec![]).await.unwrap(), of(&[]));
        assert_eq!(db.runs(), [vec![1, 2], vec![3, 4]]);
    }
}

#[tokio::test]
async fn an_id_that_is_given_twice_is_asked_for_once() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        assert_eq!(products(&db, vec![1, 2, 1, 1]).await.unwrap(), of(&[1, 2]));
        assert_eq!(db.runs(), [vec![1, 2]]);
        let call = products(&db, vec![1, 2, 1]);
        let keys: Vec<String> = call.keys().map(ToString::to_string).collect();
        assert!(keys.iter().map(|key| key.split_once(':').unwrap().1).eq(["product:1", "product:2"]));
    }
}

#[tokio::test]
async fn ids_without_a_record_are_absences() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        assert_eq!(products(&db, vec![1, MISSING]).await.unwrap(), of(&[1]));
        assert_eq!(products(&db, vec![1, MISSING]).await.unwrap(), of(&[1]));
        assert_eq!(db.runs(), [vec![1, MISSING]]);
        assert_eq!(product(&db, MISSING).peek().await.unwrap(), Some(None));
    }
}

#[cached(key = "brief:{ids[]}", ttl = "1h", negative_ttl = "1m", skip(db), using = db.keylatch)]
async fn brief(db: &Db, ids: Vec<u64>) -> HashMap<u64, u64> {
    db.run(&ids).await;
    ids.into_iter().filter(|id| *id < MISSING).map(|id| (id, id)).collect()
}

#[cached(key = "never:{ids[]}", ttl = "1h", negative_ttl = off, skip(db), using = db.keylatch)]
async fn never(db: &Db, ids: Vec<u64>) -> HashMap<u64, u64> {
    db.run(&ids).await;
    ids.into_iter().filter(|id| *id < MISSING).map(|id| (id, id)).collect()
}

#[tokio::test(start_paused = true)]
async fn absences_have_their_own_life_or_none() {
    let db = Db::new(Keylatch::in_memory());
    brief(&db, vec![1, MISSING]).await;
    tokio::time::advance(Duration::from_secs(61)).await;
    brief(&db, vec![1, MISSING]).await;
    assert_eq!(db.runs(), [vec![1, MISSING], vec![MISSING]]);
    never(&db, vec![1, MISSING]).await;
    never(&db, vec![1, MISSING]).await;
    assert_eq!(db.runs()[2..], [vec![1, MISSING], vec![MISSING]]);
}

#[tokio::test]
async fn a_handle_names_its_entries() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        assert_eq!(products(&db, vec![1, 2]).peek().await.unwrap(), of(&[]));
        products(&db, vec![1, 2, 3]).await.unwrap();
        assert_eq!(products(&db, vec![1, 2, 9]).peek().await.unwrap(), of(&[1, 2]));
        products(&db, vec![1, 2]).invalidate().await.unwrap();
        assert_eq!(products(&db, vec![1, 2, 3]).peek().await.unwrap(), of(&[3]));

        assert_eq!(products(&db, vec![4, 4]).bypass().await.unwrap(), of(&[4]));
        assert_eq!(products(&db, vec![4]).peek().await.unwrap(), of(&[]));
        assert_eq!(products(&db, vec![3, 4]).refresh().await.unwrap(), of(&[3, 4]));
        assert_eq!(products(&db, vec![3, 4]).peek().await.unwrap(), of(&[3, 4]));
        assert_eq!(db.runs(), [vec![1, 2, 3], vec![4, 4], vec![3, 4]]);

        product(&db, 5).await.unwrap();
        products(&db, vec![1]).invalidate_all().await.unwrap();
        assert_eq!(products(&db, vec![3, 4, 5]).peek().await.unwrap(), of(&[]), "both functions' entries");
    }
}

#[cache_invalidate(products(db, ids.to_vec()))]
async fn rename(db: &Db, ids: &[u64]) -> usize {
    let _ = db;
    ids.len()
}

#[tokio::test]
async fn other_ways_to_invalidate() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        products(&db, vec![1, 2, 3]).await.unwrap();
        rename(&db, &[1, 3]).await;
        assert_eq!(products(&db, vec![1, 2, 3]).peek().await.unwrap(), of(&[2]));
        products(&db, vec![1, 2, 3]).await.unwrap();
        // A tag of one record, and one of all.
        db.keylatch.invalidate_tag(keylatch::Key::of("one").part(&2)).await.unwrap();
        assert_eq!(products(&db, vec![1, 2, 3]).peek().await.unwrap(), of(&[1, 3]));
        db.keylatch.invalidate_tag("products").await.unwrap();
        assert_eq!(products(&db, vec![1, 2, 3]).peek().await.unwrap(), of(&[]));
    }
}

#[tokio::test]
async fn a_failure_stores_nothing_and_frees_the_leases_at_once() {
    let (server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        products(&db, vec![1]).await.unwrap();
        assert_eq!(products(&db, vec![1, 2, POISON]).await, Err(Failed));
        assert_eq!(products(&db, vec![2, POISON]).peek().await.unwrap(), of(&[]));
        // Nobody waits for a lease that is left behind.
        let began = std::time::Instant::now();
        assert_eq!(products(&db, vec![1, 2]).await.unwrap(), of(&[1, 2]));
        assert!(began.elapsed() < Duration::from_secs(1));
        assert_eq!(db.runs(), [vec![1], vec![2, POISON], vec![2]]);
    }
    assert!(matches!(server.query(&["GET", "test:product:666"]), Ok(redis::Value::Nil)));
}

#[cached(key = "sum:{a}", ttl = "1h", skip(db), using = db.keylatch)]
async fn sum(db: &Db, a: u64) -> u64 {
    let all = products(db, vec![a, a + 1, MISSING]).await.unwrap_or_default();
    all.values().map(|product| product.id).sum()
}

#[tokio::test]
async fn an_entry_made_from_records_goes_with_any_of_them() {
    let (_server, stores) = stores();
    for keylatch in stores {
        let db = Db::new(keylatch);
        products(&db, vec![1]).await.unwrap();
        for changed in [1, 2, MISSING] {
            assert_eq!(sum(&db, 1).await, 3);
            assert_eq!(sum(&db, 1).peek().await.unwrap(), Some(3));
            products(&db, vec![changed]).invalidate().await.unwrap();
            assert_eq!(sum(&db, 1).peek().await.unwrap(), None, "{changed}");
        }
        assert_eq!(sum(&db, 1).await, 3);
        product(&db, 5).invalidate().await.unwrap();
        assert_eq!(sum(&db, 1).peek().await.unwrap(), Some(3));
        products(&db, vec![2]).refresh().await.unwrap();
        assert_eq!(sum(&db, 1).peek().await.unwrap(), None);
    }
}

#[cached(
    key = "picky:{shop}:{ids[]}", ttl = "1h", cache_if = *result > 10, ttl_from = Duration::from_secs(*result), skip(db),
    using = db.keylatch
)]
async fn picky(db: &Db, shop: &str, ids: &[u64]) -> HashMap<u64, u64> {
    db.run(ids).await;
    let _ = shop;
    ids.iter().map(|&id| (id, id)).collect()
}

#[tokio::test(start_paused = true)]
async fn each_record_is_asked_about() {
    let db = Db::new(Keylatch::in_memory());
    picky(&db, "a", &[5, 20, 40]).await;
    assert_eq!(picky(&db, "a", &[5, 20, 40]).peek().await.unwrap(), HashMap::from([(20, 20), (40, 40)]));
    assert_eq!(picky(&db, "b", &[5, 20, 40]).peek().await.unwrap(), HashMap::new());
    tokio::time::advance(Duration::from_secs(21)).await;
    assert_eq!(picky(&db, "a", &[5, 20, 40]).peek().await.unwrap(), HashMap::from([(40, 40)]));
}

#[tokio::test]
async fn without_a_server_the_body_answers() {
    let mut server = crate::support::RedisServer::start();
    let db = Db::new(crate::support::keylatch(&server));
    products(&db, vec![1]).await.unwrap();
    server.kill();
    assert_eq!(products(&db, vec![1, 2]).await.unwrap(), of(&[1, 2]));
}
