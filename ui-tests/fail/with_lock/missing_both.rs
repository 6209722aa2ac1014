use keylatch::{LockError, with_lock};

#[with_lock()]
async fn reserve(sku: &str) -> Result<usize, LockError> {
    Ok(sku.len())
}

fn main() {}
