use keylatch::cache_invalidate;

struct Failure;

type Answer = Result<u64, Failure>;

#[cache_invalidate(tags = ["shop:{shop}"])]
async fn rename(shop: u64) -> Answer {
    Ok(shop)
}

fn main() {}
