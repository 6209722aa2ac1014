use keylatch::{LockError, with_lock};

#[with_lock(key = "near:{latitude}", ttl = "30s")]
async fn reserve(latitude: f64) -> Result<u64, LockError> {
    Ok(latitude as u64)
}

fn main() {}
