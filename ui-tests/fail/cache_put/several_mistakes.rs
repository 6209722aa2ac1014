use keylatch::{cache_put, cached};

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> String {
    id.to_string()
}

#[cache_put(product, iff = true, using = id)]
async fn rename(id: u64) -> String {
    product(id).await
}

#[cache_put]
async fn nothing(id: u64) {
    product(id).await;
}

#[cache_put(product(result.len() as u64))]
fn not_async(result: u64) -> String {
    result.to_string()
}

fn main() {}
