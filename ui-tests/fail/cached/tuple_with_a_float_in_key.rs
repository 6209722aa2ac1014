use keylatch::cached;

#[cached(key = "near:{place}", ttl = "1h")]
async fn near(place: (f64, f64)) -> u64 {
    place.0 as u64
}

fn main() {}
