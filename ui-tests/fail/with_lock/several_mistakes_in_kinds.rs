use keylatch::{LockError, with_lock};

#[with_lock(keys = ["stock:{sku}", "stock:{sku}"], shared, exclusive, permits = 0)]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
