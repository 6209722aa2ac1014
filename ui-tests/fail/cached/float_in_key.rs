use keylatch::cached;

#[cached(key = "near:{latitude}", ttl = "1h")]
async fn near(latitude: f64) -> Vec<u64> {
    vec![latitude as u64]
}

fn main() {}
