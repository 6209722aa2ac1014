// Batches in all shapes, without a warning, and for threads.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use keylatch::{CachedBatch, CachedCall, KeyPart, cache_invalidate, cached};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Neither `Clone` nor serialisable.
#[derive(Debug)]
pub struct Failure;

pub struct Shop {
    id: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, KeyPart)]
pub struct Sku(String);

#[cached(key = "name:{ids[]}", ttl = "1h")]
async fn names(ids: Vec<u64>) -> HashMap<u64, String> {
    ids.into_iter().map(|id| (id, id.to_string())).collect()
}

#[cached(key = "name:{id}", ttl = "1h")]
async fn name(id: u64) -> String {
    id.to_string()
}

#[cached(key = "stock:{skus[]}", ttl = "1h", negative_ttl = off)]
async fn stock(skus: &[Sku]) -> Result<BTreeMap<Sku, u64>, Failure> {
    if skus.is_empty() { Err(Failure) } else { Ok(skus.iter().map(|sku| (sku.clone(), 1)).collect()) }
}

#[cached(key = "upper:{names[]}", ttl = "1h")]
async fn upper<'a>(names: &[&'a str]) -> std::io::Result<Vec<Option<Arc<str>>>> {
    Ok(names.iter().map(|name| Some(name.to_uppercase().into())).collect())
}

#[cached(key = "twice:{table}:{ids[]}", ttl = "1h", tags = ["all:{ids[]}", "of:{table}"], skip(make))]
async fn twice<K, T>(table: &str, make: impl Fn(&K) -> T + Clone, ids: HashSet<K>) -> HashMap<K, T>
where
    K: KeyPart + std::hash::Hash + Eq + Clone + Send,
    T: Serialize + DeserializeOwned,
{
    let _ = table;
    ids.into_iter().map(|id| (id.clone(), make(&id))).collect()
}

impl Shop {
    #[cached(key = "price:{self.id}:{ids[]}", ttl = "1h", cache_if = |price: &u64| *price > 0)]
    async fn prices(&self, ids: BTreeSet<u64>) -> HashMap<u64, u64> {
        ids.into_iter().map(|id| (id, id * self.id)).collect()
    }
}

#[cache_invalidate(names(ids.to_vec()), name(7))]
async fn rename(ids: &[u64]) {
    let _ = ids;
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> keylatch::Result<()> {
    keylatch::Keylatch::in_memory().install().expect("the first");
    assert_eq!(is_send(names(vec![1, 2])).await.len(), 2);
    assert_eq!(name(1).peek().await?.as_deref(), Some("1"));
    rename(&[1]).await;
    assert_eq!(is_send(names(vec![1, 2]).peek()).await?.len(), 1);
    assert_eq!(stock(&[Sku("a".into())]).await.expect("a sku").len(), 1);
    assert!(stock(&[]).await.expect("nothing is asked").is_empty());
    let shouted = upper(&["a", "b", "a"]).await.expect("no failure");
    assert_eq!(shouted.iter().flatten().map(|name| &**name).collect::<String>(), "ABA");
    let made = twice("t", |id: &u64| id * 2, HashSet::from([4])).await;
    assert_eq!(made[&4], 8);
    assert_eq!(Shop { id: 3 }.prices(BTreeSet::from([1, 2])).await[&2], 6);
    Ok(())
}
