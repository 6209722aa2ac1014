use keylatch::cached;

type Answer = Result<u64, String>;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> Answer {
    Ok(id)
}

fn main() {}
