use keylatch::cached;

#[cached(key = "product:{id}", ttl = "soon")]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
