use keylatch::cached;

struct Order {
    total: f64,
}

#[cached(key = "order:{order.total}", ttl = "1h")]
async fn order(order: Order) -> f64 {
    order.total
}

fn main() {}
