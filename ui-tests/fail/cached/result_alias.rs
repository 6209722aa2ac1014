use keylatch::cached;

struct Failure;

type Answer = Result<u64, Failure>;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> Answer {
    Ok(id)
}

fn main() {}
