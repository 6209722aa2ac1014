use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", negative_ttl = "0s")]
async fn product(id: u64) -> Option<u64> {
    Some(id)
}

fn main() {}
