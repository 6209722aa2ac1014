//! Habits that a machine can check: no file over 500 lines, each says what it is for, nothing is left to do.

use std::fs;
use std::path::{Path, PathBuf};

const LINE_LIMIT: usize = 500;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a readable directory") {
        let path = entry.expect("a readable entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            // Snapshots are written by machines; compile-fail cases show users' code.
            if !["target", ".git", "snapshots", "fail", "pass"].contains(&name.as_str()) {
                sources(&path, found);
            }
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_are_short_and_say_what_they_are_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the workspace");
    let mut files = Vec::new();
    sources(root, &mut files);
    assert!(files.len() > 50, "the sources were not found");
    let unfinished = ["TO", "DO"].concat();
    let mut faults = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).expect("a readable file");
        let name = file.strip_prefix(root).expect("within the workspace").display().to_string();
        let lines = text.lines().count();
        if lines > LINE_LIMIT {
            faults.push(format!("{name}: {lines} lines"));
        }
        if !text.starts_with("//!") {
            faults.push(format!("{name}: does not begin by saying what it is for"));
        }
        if text.contains(&unfinished) {
            faults.push(format!("{name}: something is left to do"));
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}
