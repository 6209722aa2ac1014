use keylatch::{cache_put, cached};

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> String {
    id.to_string()
}

type Answer = Result<String, std::io::Error>;

#[cache_put(product(id))]
async fn rename(id: u64) -> Answer {
    Ok(product(id).await)
}

fn main() {}
