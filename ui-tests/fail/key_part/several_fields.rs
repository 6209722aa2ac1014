use keylatch::KeyPart;

#[derive(KeyPart)]
struct Place {
    latitude: f64,
    longitude: f64,
}

fn main() {}
