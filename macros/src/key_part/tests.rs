//! Snapshots of what `#[derive(KeyPart)]` becomes, and the mistakes it reports.

use expect_test::{ExpectFile, expect_file};

use super::expand;
use crate::snapshot::{errors, pretty};

#[expect(clippy::needless_pass_by_value, reason = "an expectation is written in place")]
fn check(item: &str, expected: ExpectFile) {
    expected.assert_eq(&pretty(expand(item.parse().unwrap())));
}

#[test]
fn structs() {
    check("struct Id(u64);", expect_file!["snapshots/newtype.rs"]);
    check("struct Unit;", expect_file!["snapshots/unit.rs"]);
    check(
        "#[key_part(crate = ::other)] struct Range<'a, T: Ord> where T: Copy { from: &'a T, r#in: T }",
        expect_file!["snapshots/fields.rs"],
    );
}

#[test]
fn enums() {
    check("enum Scope { All, Shop(u64), Area { x: i64, y: i64 } }", expect_file!["snapshots/enum.rs"]);
}

#[test]
fn mistakes_name_their_remedy() {
    for (item, message) in [
        ("union U { a: u8 }", "implement `KeyPart` by hand"),
        ("enum Never {}", "an enum without variants has no values"),
        ("#[key_part(crat = ::other)] struct Id(u64);", "did you mean `crate`?"),
        ("#[key_part(skip)] struct Id(u64);", "the only option is `crate`"),
        ("struct Id { #[key_part(skip)] a: u64 }", "goes on the type"),
        ("enum Id { #[key_part(skip)] A }", "goes on the type"),
    ] {
        let found = errors(expand(item.parse().unwrap()));
        assert_eq!(found.len(), 1, "{item}: {found:?}");
        assert!(found[0].contains(message), "{item}: {found:?}");
    }
}
