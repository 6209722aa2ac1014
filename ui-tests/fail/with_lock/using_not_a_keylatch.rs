use keylatch::{LockError, with_lock};

struct Redis;

#[with_lock(key = "stock:{sku}", ttl = "30s", using = redis)]
async fn reserve(sku: &str, redis: Redis) -> Result<usize, LockError> {
    drop(redis);
    Ok(sku.len())
}

fn main() {}
