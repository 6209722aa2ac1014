//! Other processes: this very test binary, asked to run one test function that acts as the child.

use std::process::{Child, Command, Stdio};

const ROLE: &str = "KEYLATCH_TEST_CHILD";
const ARGUMENT: &str = "KEYLATCH_TEST_CHILD_ARGUMENT";

/// Starts the test function at `path` in a process of its own, with an argument.
pub(crate) fn start(path: &str, argument: &str) -> Child {
    start_with(path, argument, &[])
}

/// The same, with environment variables; none that this crate reads is inherited.
pub(crate) fn start_with(path: &str, argument: &str, environment: &[(&str, &str)]) -> Child {
    let (_, role) = path.rsplit_once("::").expect("the path of a test function in a module");
    Command::new(std::env::current_exe().expect("this test binary"))
        .args(["--exact", path, "--nocapture"])
        .env_remove("REDIS_URL")
        .env_remove("REDIS_KEY_PREFIX")
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
