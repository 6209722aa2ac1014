use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", version = "3")]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
