use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", cache_if = |id: &String| id.is_empty())]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
