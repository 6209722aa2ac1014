use keylatch::{cache_put, cached};

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> String {
    id.to_string()
}

#[cached(key = "other:{id}", ttl = "1h")]
#[cache_put(product(id))]
async fn other(id: u64) -> String {
    product(id).await
}

fn main() {}
