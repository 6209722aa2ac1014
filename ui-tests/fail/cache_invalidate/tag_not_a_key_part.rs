use keylatch::cache_invalidate;

#[cache_invalidate(tags = ["near:{latitude}"])]
async fn rename(latitude: f64) -> u64 {
    latitude as u64
}

fn main() {}
