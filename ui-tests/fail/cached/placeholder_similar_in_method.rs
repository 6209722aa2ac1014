use keylatch::cached;

struct Shop;

impl Shop {
    #[cached(key = "product:{ids}", ttl = "1h", skip(self))]
    async fn product(&self, id: u64) -> u64 {
        id
    }
}

fn main() {}
