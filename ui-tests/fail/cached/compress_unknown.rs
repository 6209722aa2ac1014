use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", compress = lz5)]
async fn product(id: u64) -> u64 {
    id
}

#[cached(key = "price:{id}", ttl = "1h", compress_above = 4096)]
async fn price(id: u64) -> u64 {
    id
}

fn main() {}
