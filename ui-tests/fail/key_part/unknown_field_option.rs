use keylatch::KeyPart;

#[derive(KeyPart)]
struct Sku {
    #[key_part(skip)]
    text: String,
}

fn main() {}
