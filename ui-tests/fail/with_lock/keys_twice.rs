use keylatch::{LockError, with_lock};

#[with_lock(keys = ["stock:{sku}", "stock:{sku}"], ttl = "30s")]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
