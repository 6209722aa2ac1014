use keylatch::{cache_put, cached};

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> String {
    id.to_string()
}

#[cache_put(product())]
async fn rename(id: u64) -> String {
    product(id).await
}

fn main() {}
