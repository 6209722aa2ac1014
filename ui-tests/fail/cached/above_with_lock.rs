use keylatch::{cached, with_lock};

#[cached(key = "product:{id}", ttl = "1h")]
#[with_lock(key = "product:{id}", ttl = "30s")]
async fn product(id: u64) -> Result<u64, keylatch::LockError> {
    Ok(id)
}

fn main() {}
