use keylatch::cached;

const TTL: u64 = 60;

#[cached(key = "product:{id}", ttl = TTL)]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
