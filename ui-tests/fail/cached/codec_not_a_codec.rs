use keylatch::cached;

struct Mine;

#[cached(key = "product:{id}", ttl = "1h", codec = Mine)]
async fn product(id: u64) -> u64 {
    id
}

fn main() {}
