use keylatch::KeyPart;

#[derive(KeyPart)]
struct Latitude(f64);

fn main() {}
