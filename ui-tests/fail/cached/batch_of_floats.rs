use keylatch::cached;

#[cached(key = "price:{amounts[]}", ttl = "1h")]
async fn prices(amounts: Vec<f64>) -> Vec<Option<u64>> {
    amounts.into_iter().map(|amount| Some(amount as u64)).collect()
}

fn main() {}
