use keylatch::cached;

#[cached(key = "product:{ids[]}", ttl = "1h")]
async fn products(ids: Vec<u64>) -> Result<u64, std::io::Error> {
    Ok(ids.iter().sum())
}

fn main() {}
