use keylatch::{LockError, with_lock};

#[with_lock(key = "stock:{sku}", ttl = "30s", within)]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
