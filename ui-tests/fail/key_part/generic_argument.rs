use keylatch::KeyPart;

#[derive(KeyPart)]
struct Id<T>(T);

fn key(id: &Id<f64>) -> keylatch::Key {
    keylatch::Key::of("id").part(id)
}

fn main() {}
