// Methods of every receiver, associated functions, fields in keys, early returns and `?`.

#![deny(warnings)]
#![forbid(unsafe_code)]

use std::pin::Pin;
use std::sync::Arc;

use keylatch::{CachedCall, Keylatch, LockError, cache_invalidate, cached, with_lock};

struct Shop {
    id: u64,
    keylatch: Keylatch,
    place: (u64, String),
}

impl Shop {
    #[cached(key = "shop:{self.id}:{self.place.1}:price:{sku}", ttl = "1h", using = self.keylatch)]
    pub async fn price(&self, sku: &str) -> Result<u64, String> {
        if sku.is_empty() {
            return Err("no sku".to_owned());
        }
        let number: u64 = sku.parse().map_err(|_| "no number")?;
        Ok(number + self.place.0)
    }

    #[cached(key = "shop:{self.id}:open", ttl = "1h")]
    async fn open(self: &Arc<Self>) -> bool {
        self.id > 0
    }

    #[cached(key = "shop:{self.id}:pinned", ttl = "1h")]
    async fn pinned(self: Pin<&Self>) -> u64 {
        self.id
    }

    #[cached(ttl = "1h")]
    pub(crate) async fn named(name: &'static str) -> String {
        name.to_uppercase()
    }

    #[cached(key = "shop:{self.id}:next", ttl = "1h")]
    async fn next(&mut self) -> u64 {
        self.place.0 += 1;
        self.place.0
    }

    #[cached(key = "shop:{self.id}:last", ttl = "1h")]
    async fn last(self) -> String {
        self.place.1
    }

    #[cache_invalidate(self.price(sku), Self::named("lamp"), using = self.keylatch, tags = ["shop:{self.id}"])]
    async fn reprice(&mut self, sku: &str, by: u64) -> Result<u64, String> {
        self.place.0 += by;
        Ok(self.place.0)
    }

    #[with_lock(key = "shop:{self.id}", ttl = "30s", using = self.keylatch)]
    async fn reserve(&mut self, sku: &str) -> Result<&str, LockError> {
        self.place.1.push_str(sku);
        Ok(&self.place.1)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let keylatch = Keylatch::in_memory();
    let mut shop = Shop { id: 7, keylatch: keylatch.clone(), place: (1, "a".to_owned()) };
    assert_eq!(shop.price("").await, Err("no sku".to_owned()));
    assert_eq!(shop.price("x").await, Err("no number".to_owned()));
    assert_eq!(shop.price("2").await, Ok(3));
    assert_eq!(shop.reprice("2", 5).await, Ok(6));
    assert_eq!(shop.price("2").await, Ok(8));
    assert_eq!(Pin::new(&shop).pinned().await, 7);
    assert_eq!(shop.next().await, 7);
    assert_eq!(shop.next().await, 7);
    assert_eq!(Shop::named("lamp").await, "LAMP");
    assert_eq!(Shop::named("lamp").peek().await.unwrap().as_deref(), Some("LAMP"));
    assert_eq!(shop.reserve("b").await.unwrap(), "ab");
    assert!(Arc::new(Shop { id: 8, keylatch, place: (1, String::new()) }).open().await);
    assert_eq!(shop.last().await, "ab");
}
