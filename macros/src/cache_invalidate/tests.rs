//! Snapshots of what `#[cache_invalidate]` becomes, and the mistakes it reports.

use expect_test::{ExpectFile, expect_file};

use super::expand;
use crate::snapshot::{errors_of, expansion};

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in place")]
fn check(arguments: &str, item: &str, expected: ExpectFile) {
    expected.assert_eq(&expansion(expand, arguments, item));
}

#[test]
fn after() {
    check(
        r#"product(db, shop, id), tags = ["shop:{shop}"], patterns = ["product:{shop}:*"], if = id > 7"#,
        "/// Renames.\npub async fn rename(db: &Db, shop: u64, id: u64, name: &str) -> Result<(), Error> { db.rename(id, name).await }",
        expect_file!["snapshots/after.rs"],
    );
}

#[test]
fn around() {
    check(
        r#"self.product(id), Self::all(), when = "around", using = self.home, crate = ::other"#,
        "async fn rename(&self, id: u64) { self.db.rename(id).await }",
        expect_file!["snapshots/around.rs"],
    );
}

#[test]
fn result() {
    check(
        r#"shop::product::<Db>(db, result.id), list(db), tags = ["shop:{result.shop}"], if = result.changed, when = after"#,
        "async fn add(db: &Db, new: New) -> Result<Product, Error> { db.add(new).await }",
        expect_file!["snapshots/result.rs"],
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
    let item = "async fn f(db: &Db, id: u64) {}";
    mistakes("", item, &["nothing to invalidate; name a call, a tag or a pattern"]);
    mistakes("product, 3", item, &["call it with the arguments", "name an entry"]);
    mistakes("f(id), when = befor", item, &["`when` is one of `after`, `around`"]);
    mistakes("f(id), tag = [\"a\"]", item, &["did you mean `tags`?"]);
    mistakes("tag = [\"a\"]", item, &["did you mean `tags`?"]);
    mistakes("f(id) tags = [\"a\"]", item, &["expected `,`"]);
    mistakes("patterns = [\"*\"]", item, &["would match everything"]);
    mistakes("patterns = [\"a:*\"], when = around", item, &["a pattern cannot be held ahead of the write"]);
    mistakes(
        "f(result.id), tags = [\"a:{result}\"], when = around",
        item,
        &["before the body runs", "before the body runs"],
    );
    mistakes("f(result.id)", "async fn f(result: u64) {}", &["rename the parameter"]);
    mistakes("f(id)", "fn f(id: u64) {}", &["goes on an `async fn`"]);
    mistakes("f(id), tags = [\"a:{wat}\"]", item, &["the parameters are `db`, `id`"]);
}
