use std::collections::HashMap;

use keylatch::cached;

#[cached(key = "product:{ids[]}", ttl = "1h")]
async fn products(ids: u64) -> HashMap<u64, u64> {
    HashMap::from([(ids, ids)])
}

fn main() {}
