use keylatch::cached;

struct Product {
    id: u64,
}

#[cached(key = "product:{id}", ttl = "1h")]
async fn products(id: u64) -> Vec<Product> {
    vec![Product { id }]
}

fn main() {}
