// The runtime under another name, and through a crate that re-exports it.

#![deny(warnings)]

pub extern crate keylatch as other;

mod reexport {
    pub use other::*;
    pub mod deep {
        pub use other as cache;
    }
}

use other::CachedCall;

#[derive(other::KeyPart)]
#[key_part(crate = ::other)]
struct Sku(String);

#[derive(reexport::KeyPart)]
#[key_part(crate = crate::reexport)]
enum Currency {
    Euro,
}

#[other::cached(key = "price:{sku}:{currency}", ttl = "1h", crate = ::other)]
async fn price(sku: &Sku, currency: &Currency) -> u64 {
    sku.0.len() as u64 + u64::from(matches!(currency, Currency::Euro))
}

#[reexport::cached(ttl = "1h", negative_ttl = off, codec = message_pack, crate = crate::reexport)]
async fn stock(sku: &Sku) -> Option<u64> {
    Some(sku.0.len() as u64)
}

#[other::cache_invalidate(price(sku, &Currency::Euro), stock(sku), crate = crate::reexport::deep::cache)]
async fn rename(sku: &Sku) {
    drop(sku.0.clone());
}

#[reexport::with_lock(key = "stock:{sku}", ttl = "30s", crate = crate::reexport)]
async fn reserve(sku: &Sku) -> Result<usize, other::LockError> {
    Ok(sku.0.len())
}

macro_rules! cached_one {
    ($name:ident, $ttl:expr) => {
        #[$crate::reexport::cached(ttl = $ttl, crate = $crate::reexport)]
        async fn $name() -> u64 {
            1
        }
    };
}

cached_one!(one, "1h");

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let sku = Sku("lamp".to_owned());
    assert_eq!(price(&sku, &Currency::Euro).await, 5);
    assert_eq!(stock(&sku).await, Some(4));
    rename(&sku).await;
    assert_eq!(stock(&sku).peek().await.unwrap(), None);
    assert_eq!(reserve(&sku).await.unwrap(), 4);
    assert_eq!(one().await, 1);
}
