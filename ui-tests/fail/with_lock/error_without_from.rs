use keylatch::with_lock;

struct ReserveError;

#[with_lock(key = "stock:{sku}", ttl = "30s")]
async fn reserve(sku: &str) -> Result<usize, ReserveError> {
    Ok(sku.len())
}

fn main() {}
