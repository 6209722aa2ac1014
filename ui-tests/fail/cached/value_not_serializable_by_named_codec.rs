use keylatch::cached;

struct Product {
    id: u64,
}

#[cached(key = "product:{id}", ttl = "1h", codec = "message_pack")]
async fn product(id: u64) -> Result<Vec<Product>, String> {
    Ok(vec![Product { id }])
}

fn main() {}
