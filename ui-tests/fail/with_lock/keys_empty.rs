use keylatch::{LockError, with_lock};

#[with_lock(keys = [], ttl = "30s")]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
