//! What must not compile, with the very words that rustc prints, and what must. See `README.md`.

use std::io::Write as _;
use std::process::Command;

/// The compiler whose words the `.stderr` files hold. Another one may word the same mistake differently.
const WORDED_BY: &str = "1.95.";

/// They are run as tests of their own, from the list in the manifest.
#[test]
fn all_that_must_compile_is_listed() {
    let manifest = include_str!("Cargo.toml");
    let files = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/pass")).expect("a folder");
    let names: Vec<_> = files.map(|file| file.expect("a file").file_name()).collect();
    assert!(!names.is_empty());
    for name in names {
        let path = format!("path = \"pass/{}\"", name.to_str().expect("UTF-8"));
        assert!(manifest.contains(&path), "no test has {path}");
    }
}

#[test]
fn what_must_not_compile() {
    let version = rustc_version();
    if !version.starts_with(&format!("rustc {WORDED_BY}")) {
        // Not by `eprintln!`, which is only shown when a test fails.
        let why = format!("the `.stderr` files are those of rustc {WORDED_BY}x, and this is {version}");
        writeln!(std::io::stderr(), "what_must_not_compile is SKIPPED: {why}").expect("stderr is open");
        return;
    }
    trybuild::TestCases::new().compile_fail("fail/*/*.rs");
}

#[tokio::test]
async fn what_runs_in_a_crate_of_edition_2021() {
    keylatch_edition_2021::check().await;
}

fn rustc_version() -> String {
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let output = Command::new(rustc).arg("--version").output().expect("rustc runs");
    String::from_utf8(output.stdout).expect("a version is text").trim().to_owned()
}
