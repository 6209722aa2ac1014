use keylatch::cached;

struct Db;

#[cached(key = "product:{id}", ttl = "1h", refresh_after = "30m", skip(db))]
async fn product(db: &Db, id: u64) -> u64 {
    let _ = db;
    id
}

fn main() {}
