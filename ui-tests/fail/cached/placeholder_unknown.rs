use keylatch::cached;

#[cached(key = "product:{warehouse}", ttl = "1h")]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
