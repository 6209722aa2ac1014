use keylatch::{CachedCall, cache_invalidate, cached};

#[cached(key = "product:{id}", ttl = 60)]
async fn product(id: u64) -> Result<u64, String> {
    Ok(id)
}

#[cached(key = "shop:{ids}", ttl = "1h")]
async fn shop(id: u64) -> u64 {
    id
}

#[cache_invalidate(product(id), shop(id))]
async fn rename(id: u64) {
    product(id).invalidate().await.unwrap();
    let _: u64 = product(id).await.unwrap() + shop(id).await;
}

fn main() {}
