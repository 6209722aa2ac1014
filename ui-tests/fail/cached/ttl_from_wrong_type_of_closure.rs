use keylatch::cached;

#[cached(key = "product:{id}", ttl_from = |id: &u64| *id)]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
