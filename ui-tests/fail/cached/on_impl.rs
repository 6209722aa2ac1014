use keylatch::cached;

struct Shop;

#[cached(ttl = "1h")]
impl Shop {
    async fn product(&self) -> u64 {
        7
    }
}

fn main() {}
