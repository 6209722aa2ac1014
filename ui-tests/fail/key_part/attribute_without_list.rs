use keylatch::KeyPart;

#[derive(KeyPart)]
#[key_part]
struct Sku(String);

fn main() {}
