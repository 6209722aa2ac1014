use keylatch::{LockError, with_lock};

#[with_lock(key = "stock:{sku}", ttl = "30s", permits = 0)]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
