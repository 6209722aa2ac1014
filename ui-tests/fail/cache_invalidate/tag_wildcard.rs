use keylatch::cache_invalidate;

#[cache_invalidate(tags = ["shop:*"])]
async fn rename(shop: u64, id: u64, name: &str) -> Result<u64, String> {
    Ok(shop + id + name.len() as u64)
}

fn main() {}
