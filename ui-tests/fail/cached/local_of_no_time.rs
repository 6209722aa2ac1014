use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", local = "0s")]
async fn product(id: u64) -> u64 {
    id
}

#[cached(key = "records:{ids[]}", ttl = "1h", local = "30s", refresh_after = "1m")]
async fn records(ids: Vec<u64>) -> std::collections::HashMap<u64, u64> {
    ids.into_iter().map(|id| (id, id)).collect()
}

fn main() {}
