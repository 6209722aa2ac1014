use keylatch::cached;

#[cached(key = "{name}", ttl = "1h")]
async fn name<'a>(name: &'a str) -> Result<&'a [u8], String> {
    Ok(name.as_bytes())
}

fn main() {}
