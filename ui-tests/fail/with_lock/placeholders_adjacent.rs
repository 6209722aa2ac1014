use keylatch::{LockError, with_lock};

#[with_lock(key = "stock:{shop}{sku}", ttl = "30s")]
async fn reserve(shop: u64, sku: &str) -> Result<usize, LockError> {
    Ok(sku.len() + shop as usize)
}

fn main() {}
