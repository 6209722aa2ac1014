use keylatch::with_lock;

#[with_lock(key = "stock:all", ttl = "30s")]
struct Stock;

fn main() {
    let _ = Stock;
}
