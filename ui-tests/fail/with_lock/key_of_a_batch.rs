use keylatch::with_lock;

#[with_lock(key = "stock:{skus[]}", ttl = "30s")]
async fn reserve(skus: Vec<u64>) -> Result<usize, keylatch::LockError> {
    Ok(skus.len())
}

fn main() {}
