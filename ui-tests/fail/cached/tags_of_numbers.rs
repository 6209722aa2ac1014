use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", tags = [3])]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
