use std::rc::Rc;

use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", refresh_after = "30m", skip(db))]
async fn product(db: Rc<u64>, id: u64) -> u64 {
    *db + id
}

fn main() {}
