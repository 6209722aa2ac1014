use std::collections::HashMap;

use keylatch::cached;

struct Shop {
    id: u64,
}

impl Shop {
    #[cached(key = "product:{self.id}:{ids[]}", ttl = "1h")]
    async fn products(self, ids: Vec<u64>) -> HashMap<u64, u64> {
        ids.into_iter().map(|id| (id, self.id)).collect()
    }
}

fn main() {}
