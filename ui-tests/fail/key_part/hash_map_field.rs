use std::collections::HashMap;

use keylatch::KeyPart;

#[derive(KeyPart)]
struct Search {
    filters: HashMap<String, String>,
}

fn main() {}
