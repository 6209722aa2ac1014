use std::collections::HashMap;

use keylatch::cached;

struct Product;

#[cached(key = "product:{ids[]}", ttl = "1h")]
async fn products(ids: Vec<u64>) -> HashMap<u64, Product> {
    ids.into_iter().map(|id| (id, Product)).collect()
}

fn main() {}
