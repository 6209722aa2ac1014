use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h")]
#[cached(ttl = "1m")]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
