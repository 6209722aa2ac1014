use keylatch::KeyPart;

#[derive(KeyPart)]
enum Place {
    Named(String),
    At { latitude: f64, longitude: i64 },
}

fn main() {}
