use std::collections::HashMap;

use keylatch::cached;

#[cached(key = "product:{ids[]}", ttl = "1h", tags = ["products:{ids}"])]
async fn products(ids: Vec<u64>) -> HashMap<u64, u64> {
    ids.into_iter().map(|id| (id, id)).collect()
}

fn main() {}
