use keylatch::{LockError, cached, with_lock};

#[with_lock(key = "stock:{sku}", ttl = "30s")]
#[cached(key = "stock:{skus}", ttl = 60)]
async fn stock(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
