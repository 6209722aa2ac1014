use keylatch::{LockError, with_lock};

#[with_lock(keys = ["stock", "weight:{weight}"], ttl = "30s")]
async fn reserve(sku: &str, weight: f64) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
