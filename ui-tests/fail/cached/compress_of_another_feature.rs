use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", compress = lz4)]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
