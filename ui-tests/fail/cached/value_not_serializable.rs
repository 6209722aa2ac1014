use keylatch::cached;

struct Product {
    id: u64,
}

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> Product {
    Product { id }
}

fn main() {}
