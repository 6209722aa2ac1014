use keylatch::cache_invalidate;

#[cache_invalidate(tags = ["shop"])]
struct Shop;

fn main() {
    let _ = Shop;
}
