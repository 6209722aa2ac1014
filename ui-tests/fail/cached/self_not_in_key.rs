use keylatch::cached;

struct Shop {
    id: u64,
}

impl Shop {
    #[cached(key = "product:{id}", ttl = "1h")]
    async fn product(&self, id: u64) -> u64 {
        self.id + id
    }
}

fn main() {}
