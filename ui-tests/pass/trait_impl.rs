// Cached `async fn` in implementations of traits, alone, joined and spawned.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::future::Future;
use std::time::Duration;

use keylatch::{CachedCall, LockError, cache_invalidate, cached, with_lock};

pub trait Prices {
    fn price(&self, sku: &str) -> impl Future<Output = Result<u64, String>> + Send;
    fn both<'s>(&'s self, one: &'s str, two: &'s str) -> impl Future<Output = (u64, u64)> + Send;
}

#[allow(async_fn_in_trait)]
pub trait Stock {
    async fn stock(&self, sku: &str) -> Option<u64>;
    async fn restock(&mut self, sku: &str, by: u64) -> Result<u64, LockError>;
}

#[allow(async_fn_in_trait)]
pub trait Named {
    #[cached(key = "named", ttl = "1h", skip(self))]
    async fn name(&self) -> String {
        "by default".to_owned()
    }
}

impl Named for Shop {}

#[derive(Clone)]
pub struct Shop(u64);

impl Prices for Shop {
    #[cached(key = "price:{self.0}:{sku}", ttl = "1h")]
    async fn price(&self, sku: &str) -> Result<u64, String> {
        tokio::time::sleep(Duration::from_millis(1)).await;
        Ok(sku.len() as u64 + self.0)
    }

    #[cached(key = "both:{self.0}:{one}:{two}", ttl = "1h")]
    async fn both<'s>(&'s self, one: &'s str, two: &'s str) -> (u64, u64) {
        let (one, two) = tokio::join!(self.price(one), self.price(two));
        (one.unwrap_or_default(), two.unwrap_or_default())
    }
}

impl Stock for Shop {
    #[cached(key = "stock:{self.0}:{sku}", ttl = "1h", negative_ttl = "1m")]
    async fn stock(&self, sku: &str) -> Option<u64> {
        (!sku.is_empty()).then_some(self.0)
    }

    #[with_lock(key = "stock:{self.0}", ttl = "30s")]
    #[cache_invalidate(self.stock(sku), self.price(sku))]
    async fn restock(&mut self, sku: &str, by: u64) -> Result<u64, LockError> {
        self.0 += by;
        Ok(self.0)
    }
}

async fn generic<P: Prices + Send + Sync + 'static>(prices: P) -> Result<u64, String> {
    tokio::spawn(async move { prices.price("generic").await }).await.unwrap()
}

fn is_send<T: Send>(value: T) -> T {
    value
}

#[tokio::main]
async fn main() {
    let mut shop = Shop(1);
    assert_eq!(is_send(shop.price("lamp")).await, Ok(5));
    assert_eq!(shop.price("lamp").peek().await.unwrap(), Some(5));
    assert_eq!(shop.both("a", "bb").await, (2, 3));
    assert_eq!(shop.name().await, "by default");
    assert_eq!(shop.stock("").await, None);
    assert_eq!(is_send(shop.restock("lamp", 1)).await.unwrap(), 2);
    assert_eq!(generic(shop.clone()).await, Ok(9));
    let timely = async move { tokio::time::timeout(Duration::from_secs(5), shop.price("lamp")).await };
    assert_eq!(tokio::spawn(timely).await.unwrap().unwrap(), Ok(6));
}
