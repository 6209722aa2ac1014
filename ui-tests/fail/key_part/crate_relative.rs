use keylatch::KeyPart;

#[derive(KeyPart)]
#[key_part(crate = keylatch)]
struct Sku(String);

fn main() {}
