use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h", skip(load))]
async fn product<V: Send>(id: u64, load: fn(u64) -> V) -> V {
    load(id)
}

fn main() {}
