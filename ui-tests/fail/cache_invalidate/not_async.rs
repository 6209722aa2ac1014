use keylatch::cache_invalidate;

#[cache_invalidate(tags = ["shop:{shop}"])]
fn rename(shop: u64) -> u64 {
    shop
}

fn main() {}
