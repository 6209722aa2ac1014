use keylatch::{LockError, with_lock};

#[with_lock(keys = ["stock", "stock:{sku}"], ttl = "30s", shared)]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
