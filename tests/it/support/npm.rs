//! Programs from npm: the official client of Upstash, and a stand-in of its server that others wrote.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use super::RedisServer;
use super::redis_server::free_port;

const FILES: [(&str, &str); 3] = [
    ("package.json", include_str!("../../upstash/package.json")),
    ("package-lock.json", include_str!("../../upstash/package-lock.json")),
    ("official.mjs", include_str!("../../upstash/official.mjs")),
];

/// A directory with the locked packages, and the programs that use them. Installs them when they are not there yet.
fn packages() -> PathBuf {
    let mut hasher = DefaultHasher::new();
    FILES.hash(&mut hasher);
    let parent = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let directory = parent.join(format!("npm-{:016x}", hasher.finish()));
    if directory.exists() {
        return directory;
    }
    // Tests install in directories of their own, and one of these becomes the common one: there is nothing half done.
    let fresh = tempfile::TempDir::with_prefix_in("npm-", parent).expect("a temporary directory");
    for (name, text) in FILES {
        std::fs::write(fresh.path().join(name), text).expect("a writable directory");
    }
    let arguments = ["ci", "--ignore-scripts", "--no-audit", "--no-fund"];
    let installed = Command::new("npm").args(arguments).current_dir(fresh.path()).output();
    let output = installed.unwrap_or_else(|error| panic!("npm: {error}. {INSTALL}"));
    assert!(output.status.success(), "npm ci: {}", text(&output));
    match std::fs::rename(fresh.path(), &directory) {
        // Another test was faster where the directory is not empty.
        Err(error) if !matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
            panic!("{}: {error}", directory.display())
        }
        _ => directory,
    }
}

const INSTALL: &str = "Install Node.js 20 or later with npm: apt-get install nodejs npm; brew install node; \
                       dnf install nodejs npm; pacman -S nodejs npm";

fn text(output: &Output) -> String {
    format!("{}\n{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// Exercises an endpoint with the official client.
pub(crate) fn official_client(url: &str, token: &str, arguments: &[&str]) {
    let run = Command::new("node")
        .arg("official.mjs")
        .args(arguments)
        .current_dir(packages())
        .env("KEYLATCH_TEST_UPSTASH_URL", url)
        .env("KEYLATCH_TEST_UPSTASH_TOKEN", token)
        .output();
    let output = run.unwrap_or_else(|error| panic!("node: {error}. {INSTALL}"));
    assert!(output.status.success(), "the official client: {}", text(&output));
}

/// `@humanwhocodes/upstash-redis-server`: single commands and pipelines, without base64, RESP2 and transactions. It wants
/// the token for single commands only. Killed when dropped.
#[derive(Debug)]
pub(crate) struct PublicStandIn {
    port: u16,
    process: Child,
}

impl PublicStandIn {
    /// The token that it accepts.
    pub(crate) const TOKEN: &str = "token-of-the-public-stand-in";

    pub(crate) fn start(redis: &RedisServer) -> Self {
        let port = free_port();
        let process = Command::new("node")
            .arg("node_modules/@humanwhocodes/upstash-redis-server/dist/server.js")
            .current_dir(packages())
            .env("PORT", port.to_string())
            .env("URS_TOKEN", Self::TOKEN)
            .env("REDIS_URL", redis.url())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("node: {error}. {INSTALL}"));
        let stand_in = Self { port, process };
        let address = SocketAddr::from(([127, 0, 0, 1], port));
        let deadline = Instant::now() + Duration::from_secs(20);
        while TcpStream::connect_timeout(&address, Duration::from_secs(1)).is_err() {
            assert!(Instant::now() < deadline, "the public stand-in on port {port} does not answer");
            std::thread::sleep(Duration::from_millis(10));
        }
        stand_in
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }
}

impl Drop for PublicStandIn {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
