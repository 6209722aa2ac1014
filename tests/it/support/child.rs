//! Other processes: this very test binary, asked to run one test function that acts as the child.

use std::process::{Child, Command, Stdio};

const ROLE: &str = "KEYLATCH_TEST_CHILD";
const ARGUMENT: &str = "KEYLATCH_TEST_CHILD_ARGUMENT";

/// How variables begin that the crate reads.
const SETTINGS: [&str; 3] = ["REDIS_", "UPSTASH_", "KEYLATCH_"];
/// How those of them begin that only tests read.
const FOR_TESTS: [&str; 6] = [
    "KEYLATCH_TEST_",
    "KEYLATCH_STRICT_",
    "KEYLATCH_TORTURE_",
    "KEYLATCH_SIM_",
    "KEYLATCH_LOCK_SECONDS",
    "KEYLATCH_LOCK_SEED",
];

/// Starts the test function at `path` in a process of its own, with an argument.
pub(crate) fn start(path: &str, argument: &str) -> Child {
    start_with(path, argument, &[])
}

/// The same, with environment variables; none that this crate reads is inherited.
pub(crate) fn start_with(path: &str, argument: &str, environment: &[(&str, &str)]) -> Child {
    let (_, role) = path.rsplit_once("::").expect("the path of a test function in a module");
    let mut command = Command::new(std::env::current_exe().expect("this test binary"));
    for name in settings() {
        command.env_remove(name);
    }
    command
        .args(["--exact", path, "--nocapture"])
        .envs(environment.iter().copied())
        .env(ROLE, role)
        .env(ARGUMENT, argument)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("this test binary runs")
}

/// The argument, if this process is the child in that role. Otherwise the test function has nothing to do.
pub(crate) fn argument(role: &str) -> Option<String> {
    (std::env::var(ROLE).ok()? == role).then(|| std::env::var(ARGUMENT).unwrap_or_default())
}

/// The variables of this process that the crate reads, or could: a name that is new to it is not for tests.
fn settings() -> Vec<String> {
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    names.filter(|name| begins(name, &SETTINGS) && !begins(name, &FOR_TESTS)).collect()
}

fn begins(name: &str, with: &[&str]) -> bool {
    with.iter().any(|beginning| name.starts_with(beginning))
}

/// An exit code that the test harness has no use for: a child that never ran its function does not end with it.
const NOTHING_INHERITED: i32 = 77;

#[test]
fn no_setting_is_inherited() {
    let environment = [
        ("REDIS_URL", "redis://inherited"),
        ("REDIS_DB", "3"),
        ("UPSTASH_REDIS_REST_URL", "https://inherited.io"),
        ("KEYLATCH_LOCK_THREAD", "true"),
        ("KEYLATCH_LOCK_SECONDS", "1"),
    ];
    let mut child = start_with("support::child::child_starts_another", "", &environment);
    assert_eq!(child.wait().expect("it ends").code(), Some(NOTHING_INHERITED));
}

/// Has what its parent gave it, and ends as its own child does.
#[test]
fn child_starts_another() {
    if argument("child_starts_another").is_none() {
        return;
    }
    let found = settings();
    assert_eq!(found.len(), 4, "{found:?}");
    let mut child = start("support::child::child_finds_no_setting", "");
    std::process::exit(child.wait().expect("it ends").code().unwrap_or(1));
}

#[test]
fn child_finds_no_setting() {
    if argument("child_finds_no_setting").is_none() {
        return;
    }
    let found = settings();
    assert!(found.is_empty(), "{found:?}");
    assert!(std::env::var_os("KEYLATCH_LOCK_SECONDS").is_some(), "it is for tests");
    std::process::exit(NOTHING_INHERITED);
}
