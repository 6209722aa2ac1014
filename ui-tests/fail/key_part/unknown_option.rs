use keylatch::KeyPart;

#[derive(KeyPart)]
#[key_part(skip)]
struct Sku(String);

fn main() {}
