use std::rc::Rc;

use keylatch::cached;

#[cached(key = "product:{id}", ttl = "1h")]
async fn product(id: u64) -> Rc<str> {
    id.to_string().into()
}

fn main() {}
