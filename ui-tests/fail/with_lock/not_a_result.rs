use keylatch::with_lock;

#[with_lock(key = "stock:{sku}", ttl = "30s")]
async fn reserve(sku: &str) -> usize {
    sku.len()
}

fn main() {}
