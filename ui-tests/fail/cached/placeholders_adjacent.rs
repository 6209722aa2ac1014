use keylatch::cached;

#[cached(key = "product:{shop}{id}", ttl = "1h")]
async fn product(shop: u64, id: u64) -> u64 {
    shop + id
}

fn main() {}
