use keylatch::{cache_put, cached};

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> String {
    id.to_string()
}

#[cache_put(product(id))]
async fn rename(id: u64) -> Result<u64, std::io::Error> {
    Ok(id)
}

#[cache_put(product(*result))]
async fn add() -> u64 {
    1
}

#[cache_put(product(id))]
async fn find(id: u64) -> Option<String> {
    Some(id.to_string())
}

fn main() {}
