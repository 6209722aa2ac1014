use keylatch::cached;

#[derive(serde::Serialize, serde::Deserialize)]
struct Product {
    id: u64,
}

#[cached(key = "product:{id}", ttl = "1h", cache_if = result.stock > 0)]
async fn product(id: u64) -> Product {
    Product { id }
}

fn main() {}
