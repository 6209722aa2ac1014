use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64, locale: &str) -> String {
    format!("{id}{locale}")
}

fn main() {}
