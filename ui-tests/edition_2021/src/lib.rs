//! Cached functions in a crate of edition 2021. In its own code `impl Trait` in a return type captures no lifetime that it
//! does not name; what the attributes write must capture them all the same.

use std::sync::atomic::{AtomicU32, Ordering};

use keylatch::{cache_invalidate, cached, with_lock, CachedCall, LockError};

#[cached(key = "2021:greeting:{name}", ttl = "1m", skip(runs))]
async fn greeting(runs: &AtomicU32, name: &str) -> String {
    runs.fetch_add(1, Ordering::Relaxed);
    format!("Hello, {name}!")
}

struct Shop {
    id: u64,
    runs: AtomicU32,
}

trait Stock {
    async fn stock<'s>(&self, sku: &'s str, places: &'s [u64]) -> Result<usize, String>;
}

impl Shop {
    #[cached(key = "2021:price:{self.id}:{sku}", ttl = "1m")]
    async fn price(&self, sku: &str) -> Result<usize, String> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(sku.len())
    }

    #[cache_invalidate(self.price(sku), self.stock(sku, &[1]))]
    async fn reprice(&mut self, sku: &str) -> Result<(), String> {
        self.runs.fetch_add(10, Ordering::Relaxed);
        Ok(())
    }

    #[with_lock(key = "2021:stock:{self.id}:{sku}", ttl = "5s", lease = lease)]
    async fn reserve(&mut self, sku: &str) -> Result<u64, LockError> {
        assert!(lease.check().is_ok());
        self.id += sku.len() as u64;
        Ok(self.id)
    }
}

impl Stock for Shop {
    #[cached(key = "2021:stock:{self.id}:{sku}:{places}", ttl = "1m")]
    async fn stock<'s>(&self, sku: &'s str, places: &'s [u64]) -> Result<usize, String> {
        self.runs.fetch_add(1, Ordering::Relaxed);
        Ok(sku.len() + places.len())
    }
}

/// Calls them all, twice where the second call must be answered by the first.
///
/// # Panics
/// When an answer is wrong, or a body ran too often.
pub async fn check() {
    let runs = AtomicU32::new(0);
    let name = String::from("Ada");
    let (one, two) = tokio::join!(greeting(&runs, &name), greeting(&runs, &name));
    assert_eq!((one.as_str(), two.as_str()), ("Hello, Ada!", "Hello, Ada!"));
    assert_eq!(runs.load(Ordering::Relaxed), 1);

    let mut shop = Shop { id: 7, runs: AtomicU32::new(0) };
    for _ in 0..2 {
        assert_eq!(shop.price("lamp").await, Ok(4));
        assert_eq!(shop.stock("lamp", &[1]).await, Ok(5));
    }
    assert_eq!(shop.runs.load(Ordering::Relaxed), 2);
    shop.reprice("lamp").await.expect("the body succeeds");
    assert_eq!(shop.price("lamp").peek().await.expect("the store answers"), None);
    assert_eq!(shop.stock("lamp", &[1]).peek().await.expect("the store answers"), None);
    assert_eq!(shop.reserve("lamp").await.expect("a free lock"), 11);

    let spawned = tokio::spawn(async move { shop.price("chair").await });
    assert_eq!(spawned.await.expect("no panic"), Ok(5));
}
