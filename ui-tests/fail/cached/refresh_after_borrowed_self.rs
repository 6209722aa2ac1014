use keylatch::cached;

struct Shop;

impl Shop {
    #[cached(key = "name:{id}", ttl = "1h", refresh_after = "30m", skip(self))]
    async fn name(&self, id: &str) -> String {
        id.to_owned()
    }
}

fn main() {}
