use keylatch::cached;

#[cached(key = "{name}", ttl = "1h")]
async fn name(name: &str) -> &str {
    name
}

fn main() {}
