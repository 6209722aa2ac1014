use keylatch::KeyPart;

#[derive(KeyPart)]
struct Place {
    name: String,
    latitude: f64,
}

fn main() {}
