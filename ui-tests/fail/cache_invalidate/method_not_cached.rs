use keylatch::cache_invalidate;

struct Shop {
    id: u64,
}

impl Shop {
    async fn product(&self, id: u64) -> u64 {
        self.id + id
    }

    #[cache_invalidate(self.product(id))]
    async fn rename(&self, id: u64) -> u64 {
        self.id + id
    }
}

fn main() {}
