use keylatch::{cache_invalidate, cached};

#[cached(key = "product:{id}", ttl = "1h")]
#[cache_invalidate(tags = ["shop"])]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
