use keylatch::KeyPart;

#[derive(KeyPart)]
union Bits {
    signed: i64,
    unsigned: u64,
}

fn main() {}
