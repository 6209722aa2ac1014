use keylatch::cached;

#[cached(key = "product:{ids[]}", ttl = "1h")]
async fn products(ids: Vec<u64>) -> Vec<String> {
    ids.iter().map(u64::to_string).collect()
}

fn main() {}
