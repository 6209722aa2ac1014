use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product((shop, id): (u64, u64)) -> u64 {
    shop + id
}

fn main() {}
