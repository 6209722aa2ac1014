//! What must not compile, with the very words that rustc prints, and what must. See `README.md`.

use std::process::Command;

/// The compiler whose words the `.stderr` files hold. Another one may word the same mistake differently.
const WORDED_BY: &str = "1.95.";

#[test]
fn what_must_compile() {
    trybuild::TestCases::new().pass("pass/*.rs");
}

#[test]
fn what_must_not_compile() {
    let version = rustc_version();
    if !version.starts_with(&format!("rustc {WORDED_BY}")) {
        eprintln!("SKIPPED: the `.stderr` files are those of rustc {WORDED_BY}x, and this is {version}");
        return;
    }
    trybuild::TestCases::new().compile_fail("fail/*/*.rs");
}

fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc runs");
    String::from_utf8(output.stdout).expect("a version is text").trim().to_owned()
}
