//! Snapshots of what `#[cache_put]` becomes, and the mistakes it reports.

use expect_test::{ExpectFile, expect_file};

use super::expand;
use crate::snapshot::{errors_of, expansion};

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in place")]
fn check(arguments: &str, item: &str, expected: ExpectFile) {
    expected.assert_eq(&expansion(expand, arguments, item));
}

#[test]
fn known_before() {
    check(
        "product(db, shop, id), if = id > 7",
        "/// Renames.\npub async fn rename(db: &Db, shop: u64, id: u64, name: &str) -> Result<Product, Error> { db.rename(id, name).await }",
        expect_file!["snapshots/known_before.rs"],
    );
}

#[test]
fn named_by_the_result() {
    check(
        "shop::product::<Db>(db, result.id), self.newest(), if = result.visible, crate = ::other",
        "async fn add(&mut self, db: &Db, new: New) -> Product { db.add(new).await }",
        expect_file!["snapshots/named_by_the_result.rs"],
    );
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
    let item = "async fn f(db: &Db, id: u64) -> u64 { id }";
    mistakes("", item, &["nothing to put; name the call whose entry is to hold the result"]);
    mistakes("product, 3", item, &["call it with the arguments", "name an entry"]);
    mistakes("f(id), iff = true", item, &["did you mean `if`?"]);
    mistakes(
        "f(id), tags = [\"a\"]",
        item,
        &["unknown option `tags`; the options are `if`, `using`, `crate`"],
    );
    mistakes("f(id), using = db.keylatch", item, &["`using` has nothing to choose here"]);
    mistakes("f(id) if = true", item, &["expected `,`"]);
    mistakes("f(result.id)", "async fn f(result: u64) -> u64 { 1 }", &["rename the parameter"]);
    mistakes("f(id)", "async fn f(id: u64) {}", &["there is nothing to put; return the value"]);
    mistakes("f(id)", "fn f(id: u64) -> u64 { id }", &["goes on an `async fn`"]);
    mistakes("f(id)", "struct F;", &["`#[cache_put]` goes on an `async fn` with a body"]);
}
