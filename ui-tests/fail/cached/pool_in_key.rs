use keylatch::cached;

struct Pool;

impl Pool {
    fn load(&self, id: u64) -> u64 {
        id
    }
}

#[cached(key = "product:{db}:{id}", ttl = "1h")]
async fn product(db: &Pool, id: u64) -> u64 {
    db.load(id)
}

fn main() {}
