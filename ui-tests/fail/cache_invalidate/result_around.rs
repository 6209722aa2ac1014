use keylatch::{cache_invalidate, cached};

#[cached(key = "product:{shop}:{id}", ttl = "1h")]
async fn product(shop: u64, id: u64) -> u64 {
    shop + id
}

#[cache_invalidate(product(shop, *result), when = around)]
async fn rename(shop: u64, id: u64, name: &str) -> Result<u64, String> {
    Ok(shop + id + name.len() as u64)
}

fn main() {}
