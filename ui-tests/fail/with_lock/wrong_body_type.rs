use keylatch::{LockError, with_lock};

#[with_lock(key = "stock:{sku}", ttl = "30s")]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    sku.len()
}

fn main() {}
