use keylatch::cached;

#[cached(ttl = "1h")]
struct Product {
    id: u64,
}

fn main() {
    let _ = Product { id: 1 };
}
