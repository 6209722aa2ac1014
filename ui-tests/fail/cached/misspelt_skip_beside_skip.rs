use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", skip(db), skipp(locale))]
async fn product(db: &str, id: u64, locale: &str) -> String {
    format!("{db}{id}{locale}")
}

fn main() {}
