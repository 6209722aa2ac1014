use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product<I: Send>(id: I) -> u64 {
    0
}

fn main() {}
