use keylatch::{LockError, with_lock};

#[with_lock(key = "stock:{sku}", ttl = "30s")]
async fn reserve(sku: &str) -> Result<impl Send, LockError> {
    Ok(sku.len())
}

fn main() {}
