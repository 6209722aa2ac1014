use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", jiter = 0.1)]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
