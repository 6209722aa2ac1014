use keylatch::cached;

async fn shop(id: u64) -> u64 {
    id
}

#[cached(key = "product:{id}", ttl = "1h", depends_on(shop(id)))]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
