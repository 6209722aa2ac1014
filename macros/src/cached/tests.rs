//! Snapshots of what `#[cached]` becomes, and the mistakes it reports.

use expect_test::{ExpectFile, expect_file};

use super::expand;
use crate::snapshot::{errors_of, expansion};

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in place")]
fn check(arguments: &str, item: &str, expected: ExpectFile) {
    expected.assert_eq(&expansion(expand, arguments, item));
}

#[test]
fn free_function() {
    check(
        r#"key = "product:{shop}:{id}", ttl = "1h", tags = ["shop:{shop}"], skip(db)"#,
        "/// Loads a product.\npub async fn product(db: &Db, shop: u64, id: u64) -> Result<Product, Error> { db.load(shop, id).await }",
        expect_file!["snapshots/free_function.rs"],
    );
}

#[test]
fn method() {
    check(
        r#"key = "price:{self.tenant}:{pair.0}:{self}", ttl = "90s""#,
        "async fn price(&self, pair: (u64, u64)) -> Price where Self: Sized { self.load(pair).await }",
        expect_file!["snapshots/method.rs"],
    );
}

#[test]
fn default_key() {
    check(
        "ttl = TTL, skip(db)",
        "async fn find(db: &Db, (shop, _): (u64, u64), Path(id): Path<u64>) -> io::Result<Option<Row>> { todo!() }",
        expect_file!["snapshots/default_key.rs"],
    );
}

#[test]
fn no_arguments() {
    check(
        r#"ttl = "1h""#,
        "async fn all() -> Vec<Row> { load().await }",
        expect_file!["snapshots/no_arguments.rs"],
    );
}

#[test]
fn optional() {
    check(
        r#"key = "user:{id}", ttl = "1h", negative_ttl = "250us""#,
        "async fn user(id: &str) -> Option<User> { None }",
        expect_file!["snapshots/optional.rs"],
    );
}

#[test]
fn generics() {
    check(
        r#"key = "{id}", ttl = "1h", skip(load)"#,
        "async fn get<'a, T, const N: usize, K: KeyPart>(id: &'a K, load: impl Fn() -> T) -> Result<[T; N], &'a str> where T: Clone { load() }",
        expect_file!["snapshots/generics.rs"],
    );
}

#[test]
fn all_options() {
    check(
        r#"
        key = "rate:{from}/{to}", ttl = Duration::from_secs(60), skip_all, tags = ["rates", "bank:{bank.id}"],
        depends_on(bank_of(from), self.other::<u8>(to)), negative_ttl = off, cache_if = |rate: &Rate| rate.open,
        ttl_from = result.expires(), jitter = "10%", timeout = "50ms", load_timeout = "5s", codec = "json", version = 3, compress = zstd, compress_above = 4096,
        hold_off = "1m", track = off, using = self.keylatch, crate = ::other,
        "#,
        "#[inline] async fn rate(&self, bank: &Bank, from: Currency, to: Currency) -> Result<Option<Rate>, Error> { todo!() }",
        expect_file!["snapshots/all_options.rs"],
    );
}

#[test]
fn aging() {
    check(
        r#"key = "page:{path}", ttl = "1h", refresh_after = "5m", stale_if_error = "1d", skip(pool)"#,
        "async fn page(pool: Pool, path: String) -> Result<Page, Error> { pool.load(&path).await }",
        expect_file!["snapshots/refresh_after.rs"],
    );
    check(
        r#"key = "session:{id}", ttl = "30m", sliding = on"#,
        "async fn session(id: &str) -> Option<Session> { None }",
        expect_file!["snapshots/sliding.rs"],
    );
}

#[test]
fn crate_path() {
    check(
        r#"key = "x", ttl = "1h", crate = crate::cache, codec = own::Codec<A, B>, cache_if = is_fresh"#,
        "async fn x() -> u8 { 0 }",
        expect_file!["snapshots/crate_path.rs"],
    );
}

#[test]
fn batch() {
    check(
        r#"key = "product:{shop}:{ids[]}", ttl = "1h", tags = ["shop:{shop}", "product:{ids[]}"], skip(db)"#,
        "async fn products(db: &Db, shop: u64, ids: Vec<u64>) -> Result<HashMap<u64, Product>, Error> { db.load(shop, &ids).await }",
        expect_file!["snapshots/batch.rs"],
    );
}

#[test]
fn batch_in_order() {
    check(
        r#"key = "price:{self.tenant}:{skus[]}", ttl = "1m", negative_ttl = off, cache_if = *result > 0"#,
        "async fn prices(&self, skus: &[Sku]) -> Vec<Option<u64>> { self.load(skus).await }",
        expect_file!["snapshots/batch_in_order.rs"],
    );
}

#[test]
fn an_unknown_placeholder_is_left_to_rustc() {
    check(
        r#"key = "user:{uid}:{lang}", ttl = "1h""#,
        "async fn user(&self, id: u64, lang: &str) -> User { load(id).await }",
        expect_file!["snapshots/unknown_placeholder.rs"],
    );
}

const ITEM: &str = "async fn user(db: &Db, id: u64, lang: &str) -> Result<User, Error> { load(id).await }";

fn mistakes(arguments: &str, expected: &[&str]) {
    mistakes_on(ITEM, arguments, expected);
}

fn mistakes_on(item: &str, arguments: &str, expected: &[&str]) {
    let found = errors_of(expand, arguments, item);
    assert_eq!(found.len(), expected.len(), "{arguments}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{arguments}: {found}");
    }
}

#[test]
fn all_mistakes_are_reported_at_once() {
    mistakes(
        r#"key = "user:{id}{lang}", tll = "1h", ttl = 60, jitter = 2, ttl = "1h", negative_ttl = "0s""#,
        &[
            "run into each other",
            "`ttl` is given twice",
            "say the unit: `\"60s\"`",
            "`jitter` is a fraction",
            "unknown option `tll`; did you mean `ttl`?",
            "`negative_ttl` is for functions that return an `Option`",
            "`negative_ttl` of zero would store nothing; write `negative_ttl = off`",
        ],
    );
}

#[test]
fn one_mistake_is_one_error() {
    mistakes(
        r#"key = "user:{id}", tll = "1h", skp(db, lang)"#,
        &["did you mean `ttl`?", "did you mean `skip`?"],
    );
    mistakes(r#"key = "user:{id}", ttl = "1h", skip(db), skipp(lang)"#, &["did you mean `skip`?"]);
    mistakes("ttl_form = result.life, skip(db)", &["did you mean `ttl_from`?"]);
    mistakes(r#"skip(db) ttl = "1h" track = on"#, &["expected `,`", "expected `,`"]);
    mistakes("ttl = 1h 30m, skip(db)", &["put quotes around it: `\"1h 30m\"`"]);
    mistakes_on(
        "const fn f() -> u8 { 0 }",
        r#"ttl = "1h""#,
        &["`#[cached]` goes on an `async fn`; write `async fn f`"],
    );
}

#[test]
fn callers_of_a_mistake_are_given_a_handle() {
    let handle = |arguments, item| expansion(expand, arguments, item).contains("CachedCall");
    assert!(handle("ttl = 60", ITEM));
    assert!(handle("ttl = 60, crate = ::other", ITEM));
    // Where one would be a mistake of its own.
    assert!(!handle("ttl = 60, crate = other", ITEM));
    assert!(!handle("ttl = 60", "fn f() -> u8 { 0 }"));
    assert!(!handle("ttl = 60", "#[with_lock] async fn f() -> Result<u8, E> { Ok(0) }"));
    assert!(!handle("ttl = 60", "async fn f(name: &str) -> &str { name }"));
}

#[test]
fn every_argument_affects_the_key() {
    mistakes(
        r#"key = "user:{id}", ttl = "1h", skip(db)"#,
        &["`lang` does not affect the key: add `{lang}` to it or `skip(lang)`"],
    );
    mistakes(
        r#"key = "user:{id}:{lang.x}", ttl = "1h", skip(db, dbb)"#,
        &["unknown parameter `dbb`; did you mean `db`? the parameters are `db`, `id`, `lang`"],
    );
    mistakes(
        r#"key = "user:{id}", ttl = "1h", skip(id, db, db)"#,
        &["`id` is in the key", "`db` is skipped twice", "`lang` does not"],
    );
    mistakes(r#"key = "user:{id}", ttl = "1h", skip(db), skip_all"#, &["`skip_all` skips these too"]);
    mistakes_on(
        "async fn f(&self) -> u8 { 0 }",
        r#"ttl = "1h""#,
        &["`self` does not affect the key: name one of its fields"],
    );
    mistakes_on(
        "async fn f(self: Arc<Self>, [a, .., b @ 1..]: [u8; 4]) -> u8 { 0 }",
        r#"ttl = "1h", key = "x:{self.id}""#,
        &["`a` does not", "`b` does not"],
    );
}

#[test]
fn batches_have_rules_of_their_own() {
    let on = |item: &str, arguments: &str, expected: &[&str]| {
        mistakes_on(item, &format!(r#"ttl = "1h", {arguments}"#), expected);
    };
    let item = "async fn f(ids: Vec<u64>, shops: Vec<u64>) -> HashMap<u64, P> { todo!() }";
    on(item, r#"key = "{ids[]}:{shops[]}""#, &["`{ids[]}` and `{shops[]}`: an entry is named by"]);
    on(item, r#"key = "{ids[]}:{ids}", skip(shops)"#, &["`{ids}` is the whole batch"]);
    on(item, r#"key = "{ids[]}", skip(shops), tags = ["a:{ids}"]"#, &["write `{ids[]}`"]);
    on(item, r#"key = "{ids[]}", skip(shops), tags = ["a:{shops[]}"]"#, &["write `{shops}`"]);
    on(item, r#"key = "{ids[]}", skip(shops), depends_on(g(ids))"#, &["call the other function in the body"]);
    on(item, r#"key = "{idz[]}", skip(shops, ids)"#, &["`{idz[]}` names no parameter; did you mean `ids`?"]);
    on(item, r#"key = "{ids.x[]}", skip(shops)"#, &["`[]` goes behind the name of a parameter"]);
    on(item, r#"skip(shops), tags = ["a:{ids[]}"]"#, &["write `{ids}`"]);
    let returning = |output: &str| format!("async fn f(ids: &[u64]) -> {output} {{ todo!() }}");
    let key = r#"key = "{ids[]}""#;
    for (output, expected) in [
        ("u64", "a batch returns a `HashMap`"),
        ("Result<Option<HashMap<u64, P>>, E>", "a batch returns a `HashMap`"),
        ("Vec<shop::P>", "return `Vec<Option<shop::P>>`"),
        ("HashMap<u64, Option<P>>", "left out of the map"),
    ] {
        on(&returning(output), key, &[expected]);
    }
    for (parameters, expected) in [
        ("ids: u64", "write `ids: Vec<u64>` or `ids: &[u64]`"),
        ("ids: &Vec<u64>", "write `ids: &[u64]`"),
        ("(ids, n): (Vec<u64>, ())", "needs a parameter of its own"),
        ("mut ids: Vec<u64>", "write `let mut ids = ids;`"),
        ("self, ids: Vec<u64>", "take `&self`"),
    ] {
        let skip = match parameters.chars().next() {
            Some('s') => ", skip(self)",
            Some('(') => ", skip(n)",
            _ => "",
        };
        let item = format!("async fn f({parameters}) -> HashMap<u64, P> {{ todo!() }}");
        on(&item, &format!("{key}{skip}"), &[expected]);
    }
}

#[test]
fn unknown_placeholders() {
    mistakes(
        r#"key = "user:{wat}", ttl = "1h""#,
        &["`{wat}` names no parameter; the parameters are `db`, `id`, `lang`"],
    );
    mistakes(r#"key = "user:{lan.x}", ttl = "1h""#, &["`{lan.x}` names no parameter; did you mean `lang`?"]);
    mistakes(r#"key = "user:{self.x}", ttl = "1h""#, &["`{self.x}` names no parameter"]);
}

#[test]
fn functions_that_cannot_be_cached() {
    let ttl = r#"ttl = "1h""#;
    mistakes_on("struct X;", ttl, &["`#[cached]` goes on an `async fn` with a body; remove it"]);
    mistakes_on("impl X { async fn f(&self) -> u8 { 0 } }", ttl, &["put it on the methods"]);
    mistakes_on("trait X { async fn f(&self) -> u8; }", ttl, &["put it on the methods of an `impl`"]);
    mistakes_on("async fn f(&self) -> u8;", ttl, &["put it on the method of an `impl`"]);
    mistakes_on("fn f() -> u8 { 0 }", ttl, &["`#[cached]` goes on an `async fn`; write `async fn f`"]);
    mistakes_on("async unsafe extern \"C\" fn f() -> u8 { 0 }", ttl, &["`unsafe fn`", "`extern fn`"]);
    mistakes_on("async fn f() {}", ttl, &["there is nothing to cache"]);
    mistakes_on(
        "async fn f() -> Result<&'static str, &str> { 0 }",
        ttl,
        &["must own its data; return `String`"],
    );
    mistakes_on(
        "async fn f() -> Cow<'_, str> { 0 }",
        ttl,
        &["must own its data; return a type without a lifetime"],
    );
    mistakes_on(
        "async fn f() -> impl Iterator<Item = &u8> { 0 }",
        ttl,
        &["name the type", "must own its data"],
    );
    mistakes_on(
        "#[keylatch::with_lock] #[cached] async fn f() -> u8 { 0 }",
        ttl,
        &["put it above `#[cached]`", "remove one"],
    );
    mistakes_on("async fn f() -> u8 { 0 }", "", &["`ttl` is missing"]);
}

#[test]
fn what_runs_behind_a_call_borrows_nothing() {
    let behind = r#"ttl = "1h", refresh_after = "5m", skip_all"#;
    let refused = |parameters: &str, remedy: &str| {
        let text =
            format!("`refresh_after` runs the body behind the call, where nothing borrowed lives: {remedy}");
        mistakes_on(&format!("async fn f({parameters}) -> u8 {{ 0 }}"), behind, &[&text]);
    };
    refused("db: &Db", "take `db` by value, as in `db: Arc<Db>`");
    refused("name: &str", "take `name` by value, as in `name: String`");
    refused("ids: &[u64]", "take `ids` by value, as in `ids: Vec<u64>`");
    refused("&self", "take `self` by value, as in `self: Arc<Self>`");
    refused("self: &Arc<Self>", "take `self` by value, as in `self: Arc<Self>`");
    refused("name: Cow<'_, str>", "own all that `name` holds, or borrow it for `'static`");
    refused("load: impl Fn() -> u8 + 'a", "own all that `load` holds, or borrow it for `'static`");
    refused("Path(id): Path<&str>", "own all that the parameter holds, or");
    let fine =
        |parameters: &str| mistakes_on(&format!("async fn f({parameters}) -> u8 {{ 0 }}"), behind, &[]);
    fine("self: Arc<Self>, name: &'static str, own: Cow<'static, str>");
    fine("f: fn(&str) -> &str, g: impl Fn(&str) -> u8, h: Box<dyn for<'a> Visit<'a>>");
    mistakes_on("async fn f(a: &A, b: &B) -> u8 { 0 }", behind, &["take `a` by value", "take `b` by value"]);
}

#[test]
fn options_of_aging_that_contradict() {
    let of = "async fn f() -> u8 { 0 }";
    mistakes_on(of, r#"ttl = "5m", refresh_after = "5m""#, &["`refresh_after` must be shorter than `ttl`"]);
    mistakes_on(of, r#"ttl = "5m", refresh_after = "0s""#, &["`refresh_after` of zero would run the body"]);
    mistakes_on(of, r#"ttl = TTL, refresh_after = "5m""#, &[]);
    mistakes_on(
        of,
        r#"ttl = "5m", stale_if_error = "1h""#,
        &[
            "`stale_if_error` answers for a body that fails, and this one cannot: return a `Result`, or set `load_timeout`",
        ],
    );
    mistakes_on(of, r#"ttl = "5m", stale_if_error = "1h", load_timeout = "1s""#, &[]);
    mistakes_on(
        of,
        r#"ttl = "5m", stale_if_error = "1h", load_timeot = "1s""#,
        &["did you mean `load_timeout`?"],
    );
    let fallible = "async fn f() -> Result<u8, E> { Ok(0) }";
    mistakes_on(fallible, r#"ttl = "5m", stale_if_error = "1h""#, &[]);
    mistakes_on(
        fallible,
        r#"ttl = "5m", stale_if_error = "0s""#,
        &["`stale_if_error` of zero would serve nothing"],
    );
    mistakes_on(
        fallible,
        r#"ttl = "5m", stale_if_error = "1h", sliding = on"#,
        &["`sliding = on` ends only when nobody asks for it"],
    );
    mistakes_on(fallible, r#"ttl = "5m", stale_if_error = "1h", sliding = off"#, &[]);
    mistakes_on(of, r#"ttl = "5m", sliding = yes"#, &["`sliding` is one of `on`, `off`"]);
}

#[test]
fn wrong_values() {
    mistakes("ttl = 1.5, skip(db)", &["whole numbers with units"]);
    mistakes("ttl = 60s, skip(db)", &["put quotes around it: `\"60s\"`"]);
    mistakes(r#"ttl = "0s", skip(db)"#, &["`ttl` of zero would store nothing"]);
    mistakes("ttl = , skip(db)", &["`ttl` has no value"]);
    mistakes(r#"ttl = "1h" skip(db)"#, &["expected `,`"]);
    mistakes("ttl, skip(db)", &["`ttl` is a duration"]);
    mistakes(r#""user:{id}", ttl = "1h""#, &["expected an option"]);
    mistakes(r#"ttl = "1h", track = of"#, &["`track` is one of `on`, `off`; did you mean `off`?"]);
    mistakes(r#"ttl = "1h", codec = jsn"#, &["did you mean `json`?"]);
    mistakes(
        r#"ttl = "1h", codec = "xml""#,
        &["`codec` is one of `message_pack`, `json`, `postcard`, `bincode`, or a type"],
    );
    mistakes(r#"ttl = "1h", crate = keylatch"#, &["`crate` takes an absolute path"]);
    mistakes(r#"ttl = "1h", depends_on(bank, 3)"#, &["call it with the arguments", "name an entry"]);
    mistakes(r#"ttl = "1h", tags = "a""#, &["`tags` is a list"]);
    mistakes(
        r#"ttl = "1h", tags = ["a*", 3, "b:{idd.x}"]"#,
        &["only `patterns`", "in quotes", "did you mean `id`?"],
    );
    mistakes(
        r#"ttl = "1h", compress = zst, compress_above = 4096, skip_all"#,
        &["`compress` is one of `lz4`, `zstd`; did you mean `zstd`?"],
    );
    mistakes(
        r#"ttl = "1h", compress_above = 4096, skip_all"#,
        &["`compress_above` says nothing without `compress`; add `compress = lz4`"],
    );
    mistakes(r#"ttl = "1h", compres = lz4, compress_above = 1, skip_all"#, &["did you mean `compress`?"]);
    mistakes(r#"ttl = "1h", version = "3""#, &["`version` is a whole number"]);
    mistakes(r#"ttl = "1h", skip"#, &["`skip` takes parentheses"]);
    mistakes(r#"ttl = "1h", skip()"#, &["`skip` names nothing"]);
}
