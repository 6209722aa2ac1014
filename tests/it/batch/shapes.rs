//! Return types and parameters in all shapes.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use keylatch::{CachedBatch, Keylatch, cached};

use super::{Db, Failed, MISSING, Product, named, product};

#[cached(key = "product:{ids[]}", ttl = "1h", tags = ["products", "one:{ids[]}"], skip(db), using = db.keylatch)]
async fn in_order(db: &Db, ids: &[u64]) -> Result<Vec<Option<Product>>, Failed> {
    db.run(ids).await;
    Ok(ids.iter().map(|&id| (id < MISSING).then(|| named(id))).collect())
}

#[cached(key = "plain:{ids[]}", ttl = "1h", skip(db), using = db.keylatch)]
async fn plain(db: &Db, ids: Vec<u64>) -> Vec<Option<u64>> {
    db.run(&ids).await;
    ids.into_iter().map(|id| (id < MISSING).then_some(id)).collect()
}

#[cached(key = "tree:{ids[]}", ttl = "1h", skip(db), using = db.keylatch)]
async fn tree(db: &Db, ids: BTreeSet<u64>) -> BTreeMap<u64, String> {
    db.run(&ids.iter().copied().collect::<Vec<_>>()).await;
    ids.into_iter().map(|id| (id, id.to_string())).collect()
}

#[cached(key = "names:{names[]}:of:{shop}", ttl = "1h", skip(db), using = db.keylatch)]
async fn lengths(db: &Db, shop: String, names: HashSet<String>) -> std::io::Result<BTreeMap<String, usize>> {
    db.run(&names.iter().map(|name| name.len() as u64).collect::<Vec<_>>()).await;
    Ok(names.into_iter().map(|name| (name.clone() + "", name.len() + shop.len())).collect())
}

#[tokio::test]
async fn order_is_kept() {
    let db = Db::new(Keylatch::in_memory());
    product(&db, 2).await.unwrap();
    let ids = [3, 2, MISSING, 3, 1];
    let expected = [Some(named(3)), Some(named(2)), None, Some(named(3)), Some(named(1))];
    assert_eq!(in_order(&db, &ids).await.unwrap(), expected);
    assert_eq!(in_order(&db, &ids).await.unwrap(), expected);
    assert_eq!(in_order(&db, &ids).peek().await.unwrap(), expected);
    assert_eq!(db.runs(), [vec![2], vec![3, MISSING, 1]]);
    assert_eq!(plain(&db, vec![2, 1]).await, [Some(2), Some(1)]);
}

#[tokio::test]
async fn trees_sets_and_owned_arguments() {
    let db = Db::new(Keylatch::in_memory());
    tree(&db, BTreeSet::from([2])).await;
    let both = tree(&db, BTreeSet::from([1, 2])).await;
    assert_eq!(both, BTreeMap::from([(1, "1".to_owned()), (2, "2".to_owned())]));
    assert_eq!(db.runs(), [vec![2], vec![1]]);
    let names = HashSet::from(["a".to_owned(), "bb".to_owned()]);
    let answer = lengths(&db, "xyz".to_owned(), names).await.unwrap();
    assert_eq!(answer, BTreeMap::from([("a".to_owned(), 4), ("bb".to_owned(), 5)]));
}

struct Shop {
    db: Db,
    tenant: String,
}

impl Shop {
    #[cached(key = "stock:{self.tenant}:{skus[]}", ttl = "1h", using = self.db.keylatch)]
    async fn stock<S: AsRef<str> + keylatch::KeyPart + Clone + Send + std::hash::Hash + Eq>(
        &self,
        skus: &[S],
    ) -> HashMap<S, u64> {
        self.db.run(&[skus.len() as u64]).await;
        skus.iter().map(|sku| (sku.clone(), sku.as_ref().len() as u64)).collect()
    }
}

#[tokio::test]
async fn methods_and_generics() {
    let shop = Shop { db: Db::new(Keylatch::in_memory()), tenant: "t".into() };
    let skus = ["a".to_owned(), "bb".to_owned()];
    assert_eq!(shop.stock(&skus[..1]).await, HashMap::from([("a".to_owned(), 1)]));
    assert_eq!(shop.stock(&skus).await.len(), 2);
    assert_eq!(shop.db.runs(), [vec![1], vec![1]]);
}

/// Returns one record too few, unless it is asked for one alone.
#[cached(key = "short:{ids[]}", ttl = "1h", skip(db), using = db.keylatch)]
async fn short(db: &Db, ids: Vec<u64>) -> Vec<Option<u64>> {
    db.run(&ids).await;
    let count = if ids.len() > 1 { ids.len() - 1 } else { 1 };
    ids.into_iter().map(Some).take(count).collect()
}

#[tokio::test]
async fn a_wrong_number_of_records_corrupts_nothing() {
    let db = Db::new(Keylatch::in_memory());
    // The body was given the ids of the call, so what it says is the answer.
    assert_eq!(short(&db, vec![1, 2, 3]).await, [Some(1), Some(2)]);
    assert_eq!(short(&db, vec![1, 2, 3]).peek().await.unwrap(), [None, None, None]);
    // It was given others: it is asked again, for those of the call.
    short(&db, vec![1]).await;
    assert_eq!(short(&db, vec![1, 2, 3]).await, [Some(1), Some(2)]);
    assert_eq!(db.runs(), [vec![1, 2, 3], vec![1], vec![2, 3], vec![1, 2, 3]]);
    assert_eq!(short(&db, vec![1, 2, 3]).peek().await.unwrap(), [Some(1), None, None]);
}

/// Returns more than it is asked for.
#[cached(key = "generous:{ids[]}", ttl = "1h", skip(db), using = db.keylatch)]
async fn generous(db: &Db, ids: Vec<u64>) -> HashMap<u64, u64> {
    db.run(&ids).await;
    (0..10).map(|id| (id, id)).collect()
}

#[tokio::test]
async fn what_nobody_asked_for_is_neither_stored_nor_answered() {
    let db = Db::new(Keylatch::in_memory());
    assert_eq!(generous(&db, vec![1]).await, HashMap::from([(1, 1)]));
    assert_eq!(generous(&db, vec![1, 2]).peek().await.unwrap(), HashMap::from([(1, 1)]));
}

#[tokio::test]
async fn a_batch_is_a_future_like_any_other() {
    let db = std::sync::Arc::new(Db::new(Keylatch::in_memory()));
    let (one, two) = tokio::join!(plain(&db, vec![1]), plain(&db, vec![2]));
    assert_eq!((one, two), (vec![Some(1)], vec![Some(2)]));
    let spawned = tokio::spawn({
        let db = std::sync::Arc::clone(&db);
        async move { plain(&db, vec![3]).await }
    });
    assert_eq!(spawned.await.unwrap(), [Some(3)]);
}
