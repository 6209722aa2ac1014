use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", skip(id, db))]
async fn product(db: &str, id: u64) -> String {
    format!("{db}{id}")
}

fn main() {}
