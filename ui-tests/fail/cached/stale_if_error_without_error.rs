use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", stale_if_error = "1d")]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
