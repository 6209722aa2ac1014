use std::collections::HashMap;

use keylatch::cached;

#[cached(key = "search:{filters}", ttl = "1h")]
async fn search(filters: HashMap<String, String>) -> usize {
    filters.len()
}

fn main() {}
