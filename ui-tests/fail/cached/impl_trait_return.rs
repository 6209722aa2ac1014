use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> impl Iterator<Item = u64> {
    0..id
}

fn main() {}
