use keylatch::cached;

struct Session<'a>(&'a str);

impl<'a> Session<'a> {
    #[cached(key = "name:{self.0}", ttl = "1h", refresh_after = "30m")]
    async fn name(self) -> String {
        self.0.to_owned()
    }
}

fn main() {}
