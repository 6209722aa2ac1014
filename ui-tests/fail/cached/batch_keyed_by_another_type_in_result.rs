use std::collections::BTreeMap;

use keylatch::cached;

#[cached(key = "product:{ids[]}", ttl = "1h")]
async fn products(ids: &[u64]) -> Result<BTreeMap<u32, String>, std::io::Error> {
    Ok(ids.iter().map(|&id| (id as u32, id.to_string())).collect())
}

fn main() {}
