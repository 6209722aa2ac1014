//! A `redis-server` of this test alone: on a free port, in a temporary directory, killed when dropped.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The binary; `KEYLATCH_TEST_REDIS_SERVER` names another one.
fn binary() -> String {
    std::env::var("KEYLATCH_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

#[derive(Debug)]
pub(crate) struct RedisServer {
    port: u16,
    directory: TempDir,
    process: Option<Child>,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        let port = free_port();
        let directory = TempDir::with_prefix("keylatch-redis").expect("a temporary directory");
        let mut server = Self { port, directory, process: None };
        server.restart();
        server
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://127.0.0.1:{}/0", self.port)
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Starts the process again on the same port and directory, and waits until it answers.
    pub(crate) fn restart(&mut self) {
        assert!(self.process.is_none(), "the server runs already");
        let process = Command::new(binary())
            .args([
                "--port",
                &self.port.to_string(),
                "--bind",
                "127.0.0.1",
                "--save",
                "",
                "--appendonly",
                "no",
            ])
            .arg("--dir")
            .arg(self.directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`redis-server` is installed (apt-get install redis-server)");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(10);
        while self.command("PING").as_deref() != Some("+PONG") {
            assert!(Instant::now() < deadline, "redis-server on port {} does not answer", self.port);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// `kill -9`.
    pub(crate) fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().expect("the server runs");
            process.wait().expect("the server was started here");
        }
    }

    /// Sends a signal by name, such as `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        let id = self.process.as_ref().expect("the server runs").id();
        super::signal(id, name);
    }

    /// One inline command on a connection of its own; the first line of the answer.
    pub(crate) fn command(&self, command: &str) -> Option<String> {
        let address = SocketAddr::from(([127, 0, 0, 1], self.port));
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(1)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(2))).ok()?;
        stream.write_all(format!("{command}\r\n").as_bytes()).ok()?;
        let mut answer = Vec::new();
        let mut byte = [0];
        while stream.read(&mut byte).ok()? == 1 && byte[0] != b'\r' {
            answer.push(byte[0]);
        }
        String::from_utf8(answer).ok()
    }

    /// How many keys the server holds.
    pub(crate) fn key_count(&self) -> usize {
        let answer = self.command("DBSIZE").expect("the server answers");
        answer.trim_start_matches(':').parse().expect("a number of keys")
    }
}

impl Drop for RedisServer {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port that was free a moment ago. Ephemeral ports are handed out in turn, so another test gets another one.
pub(super) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound port").port()
}
