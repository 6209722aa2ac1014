use keylatch::{cache_invalidate, cached};

#[cached(key = "product:{shop}:{id}", ttl = "1h")]
async fn product(shop: u64, id: u64) -> u64 {
    shop + id
}

#[cache_invalidate(product(shop, result))]
async fn rename(shop: u64) -> String {
    shop.to_string()
}

fn main() {}
