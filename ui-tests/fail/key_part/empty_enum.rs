use keylatch::KeyPart;

#[derive(KeyPart)]
enum Never {}

fn main() {}
