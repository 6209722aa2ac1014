use std::collections::HashMap;

use keylatch::cached;

#[cached(key = "product:{ids[]}", ttl = "1h")]
async fn products(ids: Vec<u64>) -> HashMap<u32, String> {
    ids.into_iter().map(|id| (id as u32, id.to_string())).collect()
}

fn main() {}
