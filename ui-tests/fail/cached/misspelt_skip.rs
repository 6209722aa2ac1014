use keylatch::cached;

struct Db;

impl Db {
    fn load(&self, id: u64) -> u64 {
        id
    }
}

#[cached(key = "product:{id}", ttl = "1h", skipp(db))]
async fn product(db: &Db, id: u64) -> u64 {
    db.load(id)
}

fn main() {}
