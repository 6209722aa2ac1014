use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", stale_if_error = "1d", sliding = on)]
async fn product(id: u64) -> Result<u64, std::io::Error> {
    Ok(id)
}

fn main() {}
