use keylatch::cached;

trait Shop {
    #[cached(ttl = "1h", skip(self))]
    async fn product(&self) -> u64;
}

fn main() {}
