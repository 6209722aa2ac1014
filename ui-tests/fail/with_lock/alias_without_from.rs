use keylatch::with_lock;

type Reserved = Result<usize, std::fmt::Error>;

#[with_lock(key = "stock:{sku}", ttl = "30s")]
async fn reserve(sku: &str) -> Reserved {
    Ok(sku.len())
}

fn main() {}
