use keylatch::cached;

struct Order {
    id: u64,
}

#[cached(key = "order:{order.idd}", ttl = "1h")]
async fn order(order: Order) -> u64 {
    order.id
}

fn main() {}
