//! Snapshots of what `#[with_lock]` becomes, and the mistakes it reports.

use expect_test::{ExpectFile, expect_file};

use super::expand;
use crate::snapshot::{errors_of, expansion};

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in place")]
fn check(arguments: &str, item: &str, expected: ExpectFile) {
    expected.assert_eq(&expansion(expand, arguments, item));
}

#[test]
fn plain() {
    check(
        r#"key = "stock:{sku}", ttl = "30s", wait = "0s""#,
        "async fn reserve(sku: &str, quantity: u32) -> Result<Receipt, ReserveError> { take(sku, quantity).await }",
        expect_file!["snapshots/plain.rs"],
    );
}

#[test]
fn lease() {
    check(
        r#"
        key = "stock:{self.shop}", ttl = "30s", wait = WAIT, fence, extend = off, max_hold = "5m", on_lost = continue, lease = lock,
        using = &self.home, crate = ::other
        "#,
        "async fn reserve<T>(&mut self) -> Result<Receipt, ReserveError> where T: Send { self.take(lock.token()).await }",
        expect_file!["snapshots/lease.rs"],
    );
}

#[test]
fn kinds() {
    let item = "async fn report(shop: u64) -> Result<(), LockError> { Ok(()) }";
    check(r#"key = "report:{shop}", ttl = "30s", shared"#, item, expect_file!["snapshots/shared.rs"]);
    check(r#"key = "report:{shop}", ttl = "30s", exclusive"#, item, expect_file!["snapshots/exclusive.rs"]);
    check(r#"key = "report:{shop}", ttl = "30s", permits = 3"#, item, expect_file!["snapshots/permits.rs"]);
}

#[test]
fn several() {
    check(
        r#"keys = ["account:{from}", "account:{to}"], ttl = "30s", within = outer"#,
        "async fn transfer(from: u64, to: u64, outer: Option<&Lease>) -> Result<(), LockError> { Ok(()) }",
        expect_file!["snapshots/several.rs"],
    );
}

#[test]
fn kinds_that_contradict_each_other() {
    let item = "async fn f(id: u64) -> Result<(), E> { Ok(()) }";
    let both = "keep one";
    mistakes("key = \"a\", ttl = \"5s\", shared, exclusive", item, &[both]);
    mistakes(
        "key = \"a\", ttl = \"5s\", shared, permits = 2",
        item,
        &["`shared` tells kinds apart; keep one"],
    );
    mistakes(
        "key = \"a\", ttl = \"5s\", shared, exclusive, permits = 0",
        item,
        &["would let nobody in", both, both],
    );
    mistakes(
        "keys = [\"a\"], ttl = \"5s\", permits = N",
        item,
        &["`keys` locks every key for one holder; remove `permits`"],
    );
    mistakes(
        "keys = [\"a\"], key = \"b\", ttl = \"5s\", shared = true",
        item,
        &["`shared` takes no value", "`key` and `keys` both say what is locked", "`keys` locks every key"],
    );
}

#[test]
fn mistakes_in_kinds_name_their_remedy() {
    let item = "async fn f(id: u64) -> Result<(), E> { Ok(()) }";
    mistakes("keys = [], ttl = \"5s\"", item, &["`keys` names nothing"]);
    mistakes("keys = [\"a:{id}\", \"b\", \"a:{id}\"], ttl = \"5s\"", item, &["`a:{id}` is there twice"]);
    mistakes(
        "keys = [\"a:{x}\", \"b:{y}\"]",
        item,
        &["`{x}` names no", "`{y}` names no", "`ttl` is missing"],
    );
    mistakes("keys = \"a\", ttl = \"5s\"", item, &["`keys` is a list of templates"]);
    for wrong in ["-1", "\"3\"", "4294967296", "3u64", "2.5"] {
        let expected = ["`permits` is a number of at least 1"];
        mistakes(&format!("key = \"a\", ttl = \"5s\", permits = {wrong}"), item, &expected);
    }
    mistakes("key = \"a\", ttl = \"5s\", permit = 3", item, &["did you mean `permits`?"]);
    mistakes("key = \"a\", ttl = \"5s\", within", item, &["`within` takes an expression"]);
}

fn mistakes(arguments: &str, item: &str, expected: &[&str]) {
    let found = errors_of(expand, arguments, item);
    assert_eq!(found.len(), expected.len(), "{arguments}: {found:#?}");
    for (found, expected) in found.iter().zip(expected) {
        assert!(found.contains(expected), "{arguments}: {found}");
    }
}

#[test]
fn mistakes_name_their_remedy() {
    let item = "async fn f(id: u64) -> Result<(), E> { Ok(()) }";
    mistakes("", item, &["`key` is missing", "`ttl` is missing"]);
    mistakes("kye = \"a\", ttl = \"5s\"", item, &["did you mean `key`?"]);
    mistakes("key = \"a\" ttl = \"5s\"", item, &["expected `,`"]);
    mistakes(
        "key = \"a\", ttl = \"0s\", wait = 5",
        item,
        &["say the unit: `\"5s\"`", "`ttl` of zero would lock nothing"],
    );
    mistakes("key = \"a\", ttl = \"5s\", max_hold = \"1s\"", item, &["`max_hold` is less than `ttl`"]);
    mistakes("key = \"a\", ttl = \"5s\", lease = id", item, &["`id` is a parameter"]);
    mistakes("key = \"a\", ttl = \"5s\", lease = 3", item, &["`lease` is the name of a new variable"]);
    mistakes(
        "key = \"a\", ttl = \"5s\", on_lost = \"stop\"",
        item,
        &["`on_lost` is one of `cancel`, `continue`"],
    );
    mistakes(
        "key = \"a:{wat}\", ttl = \"5s\", skip(id)",
        item,
        &["unknown option `skip`", "`{wat}` names no parameter"],
    );
    mistakes("key = \"a\", ttl = \"5s\"", "async fn f() {}", &["a lock can fail; return `Result<_, E>`"]);
    mistakes("key = \"a\", ttl = \"5s\"", "trait T {}", &["goes on an `async fn` with a body"]);
}
