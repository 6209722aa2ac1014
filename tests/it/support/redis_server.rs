//! A `redis-server` of this test alone: on a free port, in a temporary directory, killed when dropped.

use std::collections::HashMap;
use std::ffi::OsString;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

/// The binary; `KEYLATCH_TEST_REDIS_SERVER` names another one.
pub(crate) fn binary() -> String {
    std::env::var("KEYLATCH_TEST_REDIS_SERVER").unwrap_or_else(|_| "redis-server".to_owned())
}

/// The same, if it was built with TLS; else the one that is installed.
fn binary_with_tls() -> String {
    // Without a certificate none starts: one that could says that it misses that, an older one that it does not know the
    // setting, a newer one that it finds no TLS.
    let port = free_port().to_string();
    let asked = Command::new(binary()).args(["--port", "0", "--tls-port", &port]).output();
    let refused = asked.expect("the server can be started");
    let told = [refused.stdout, refused.stderr].concat();
    let told = String::from_utf8_lossy(&told);
    if told.contains("tls-port") || told.contains("finding TLS support") {
        eprintln!("{} was built without TLS, so the installed redis-server is tested", binary());
        return "redis-server".to_owned();
    }
    binary()
}

#[derive(Debug)]
pub(crate) struct RedisServer {
    program: String,
    port: u16,
    directory: TempDir,
    arguments: Vec<String>,
    environment: Vec<(OsString, OsString)>,
    process: Option<Child>,
}

impl RedisServer {
    pub(crate) fn start() -> Self {
        Self::start_with(&[])
    }

    /// With more arguments for its command line, which it keeps when it is restarted.
    pub(crate) fn start_with(arguments: &[&str]) -> Self {
        Self::start_on(free_port(), arguments)
    }

    /// The same by a server that can do TLS.
    pub(crate) fn start_with_tls(arguments: &[&str]) -> Self {
        Self::start_all(binary_with_tls(), free_port(), arguments, Vec::new())
    }

    /// With environment variables.
    pub(crate) fn start_in(environment: &[(&str, &Path)]) -> Self {
        let environment =
            environment.iter().map(|(name, value)| (OsString::from(name), value.as_os_str().to_owned()));
        Self::start_all(binary(), free_port(), &[], environment.collect())
    }

    pub(crate) fn start_on(port: u16, arguments: &[&str]) -> Self {
        Self::start_all(binary(), port, arguments, Vec::new())
    }

    fn start_all(
        program: String,
        port: u16,
        arguments: &[&str],
        environment: Vec<(OsString, OsString)>,
    ) -> Self {
        let directory = TempDir::with_prefix("keylatch-redis").expect("a temporary directory");
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut server = Self { program, port, directory, arguments, environment, process: None };
        server.restart();
        server
    }

    /// The directory it runs in, where it saves its snapshot `dump.rdb`.
    pub(crate) fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// Any command on a connection of its own.
    pub(crate) fn query(&self, words: &[&str]) -> redis::RedisResult<redis::Value> {
        let client = redis::Client::open(self.url()).expect("a good URL");
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
        let (name, arguments) = words.split_first().expect("a command");
        redis::cmd(name).arg(arguments).query(&mut connection)
    }

    /// A field of `INFO`.
    pub(crate) fn info(&self, field: &str) -> Option<String> {
        let info: String = redis::from_redis_value(self.query(&["INFO"]).ok()?).ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    }

    /// How often it was asked to do that, refused calls included.
    pub(crate) fn calls(&self, command: &str) -> u64 {
        self.all_calls().get(command).copied().unwrap_or(0)
    }

    /// The same for every command since it was started, or told to forget.
    pub(crate) fn all_calls(&self) -> HashMap<String, u64> {
        let info = self.query(&["INFO", "commandstats"]).expect("the server answers");
        let info: String = redis::from_redis_value(info).expect("text");
        let calls = |line: &str| {
            let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(':')?;
            let calls = fields.strip_prefix("calls=")?.split(',').next()?.parse().ok()?;
            Some((name.to_owned(), calls))
        };
        info.lines().filter_map(calls).collect()
    }

    /// Counts from nothing again.
    pub(crate) fn forget_calls(&self) {
        self.query(&["CONFIG", "RESETSTAT"]).expect("the server answers");
    }

    /// How many commands it has carried out.
    pub(crate) fn commands(&self) -> u64 {
        let count = self.info("total_commands_processed").expect("the server answers");
        count.parse().expect("a number")
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
        let process = Command::new(&self.program)
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
            .args(&self.arguments)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`redis-server` is installed (apt-get install redis-server)");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(10);
        // A server that asks for a password answers, too, and so does one that still loads.
        let answers =
            |answer: String| ["+PONG", "-NOAUTH", "-LOADING"].iter().any(|start| answer.starts_with(start));
        while !self.command("PING").is_some_and(answers) {
            assert!(Instant::now() < deadline, "redis-server on port {} does not answer", self.port);
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The same with more arguments, as soon as the port is open: it may not be ready yet.
    pub(crate) fn restart_with(&mut self, arguments: &[&str]) {
        self.arguments.extend(arguments.iter().map(|&argument| argument.to_owned()));
        self.restart();
    }

    pub(crate) fn is_running(&self) -> bool {
        self.process.is_some()
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

    /// Whether somebody has the lease of that slot.
    pub(crate) fn is_leased(&self, slot: &str) -> bool {
        let first = self.query(&["GETRANGE", slot, "0", "0"]).expect("the server answers");
        redis::from_redis_value::<String>(first).expect("text") == "L"
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
pub(crate) fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound port").port()
}
