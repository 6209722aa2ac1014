use keylatch::cached;

#[derive(Clone, Copy)]
enum Currency {
    Euro,
}

#[cached(key = "price:{currency}", ttl = "1h")]
async fn price(currency: Currency) -> u64 {
    currency as u64
}

fn main() {}
