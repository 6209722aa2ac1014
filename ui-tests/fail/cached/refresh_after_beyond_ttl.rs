use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", refresh_after = "90m")]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
