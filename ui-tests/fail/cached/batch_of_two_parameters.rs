use std::collections::HashMap;

use keylatch::cached;

#[cached(key = "product:{shops[]}:{ids[]}", ttl = "1h")]
async fn products(shops: Vec<u64>, ids: Vec<u64>) -> HashMap<u64, u64> {
    ids.into_iter().zip(shops).collect()
}

fn main() {}
