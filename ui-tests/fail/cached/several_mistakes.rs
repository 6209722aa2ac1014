use keylatch::cached;

#[cached(key = "product:{id}{locale}", tll = "1h", ttl = 60, jitter = 2)]
async fn product(id: u64, locale: &str) -> String {
    format!("{id}{locale}")
}

fn main() {}
