use keylatch::{LockError, with_lock};

const LIMIT: u64 = 3;

#[with_lock(key = "stock:{sku}", ttl = "30s", permits = LIMIT)]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
