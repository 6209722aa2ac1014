use std::collections::HashMap;

use keylatch::cached;

struct Token;

#[cached(key = "product:{ids[]}", ttl = "1h", skip(token))]
async fn products(token: Token, ids: Vec<u64>) -> HashMap<u64, u64> {
    let _used = token;
    ids.into_iter().map(|id| (id, id)).collect()
}

fn main() {}
