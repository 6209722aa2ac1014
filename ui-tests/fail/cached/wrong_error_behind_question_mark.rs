use keylatch::cached;

struct Failure;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: &str) -> Result<u64, Failure> {
    Ok(id.parse::<u64>()?)
}

fn main() {}
