use keylatch::cached;

struct Name<'a>(&'a str);

#[cached(key = "{name}", ttl = "1h")]
async fn name(name: &str) -> Name<'_> {
    Name(name)
}

fn main() {}
