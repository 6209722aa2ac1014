//! A `redis-server` of this benchmark alone: on a free port of the loopback interface, as services use it, killed at the end.

use std::net::TcpListener;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

pub(crate) struct Server {
    process: Child,
    pub(crate) url: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .expect("a free port")
            .port();
        let process = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn()
            .expect("`redis-server` is installed (apt-get install redis-server)");
        let server = Self { process, url: format!("redis://127.0.0.1:{port}") };
        let client = redis::Client::open(server.url.as_str()).expect("a good URL");
        let deadline = Instant::now() + Duration::from_secs(10);
        while client.get_multiplexed_async_connection().await.is_err() {
            assert!(Instant::now() < deadline, "redis-server does not answer");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        server
    }

    pub(crate) async fn reset_statistics(&self) {
        let mut reset = redis::cmd("CONFIG");
        reset.arg("RESETSTAT").exec_async(&mut self.connect().await).await.expect("the server answers");
    }

    /// How many commands it has carried out, those of scripts included, but for its own administration.
    pub(crate) async fn calls(&self) -> f64 {
        let info = self.info("commandstats").await;
        let calls = info.lines().filter_map(|line| line.strip_prefix("cmdstat_")?.split_once(":calls="));
        let ours = calls.filter(|(name, _)| {
            !["info", "config", "client", "hello", "ping"].iter().any(|admin| name.starts_with(admin))
        });
        ours.filter_map(|(_, rest)| rest.split(',').next()?.parse::<f64>().ok()).sum()
    }

    pub(crate) async fn calls_of(&self, command: &str) -> u64 {
        let info = self.info("commandstats").await;
        let line = info.lines().find_map(|line| line.strip_prefix(&format!("cmdstat_{command}:calls=")));
        line.and_then(|line| line.split(',').next()?.parse().ok()).unwrap_or_default()
    }

    /// How often it has read from a connection.
    pub(crate) async fn reads(&self) -> u64 {
        let info = self.info("stats").await;
        let line = info.lines().find_map(|line| line.strip_prefix("total_reads_processed:"));
        line.and_then(|count| count.trim().parse().ok()).unwrap_or_default()
    }

    async fn info(&self, section: &str) -> String {
        let mut info = redis::cmd("INFO");
        info.arg(section).query_async(&mut self.connect().await).await.expect("the server answers")
    }

    /// How many commands it has been sent, but for those that look whether a connection is alive.
    pub(crate) async fn commands(&self) -> u64 {
        let mut connection = self.connect().await;
        let info = redis::cmd("INFO").arg("commandstats").query_async(&mut connection).await;
        let info: String = info.expect("the server answers");
        // What a script does is not sent, and what asks for this is not counted.
        let besides = ["ping", "info", "hello", "client|setinfo", "getrange", "strlen"];
        let calls = info.lines().filter_map(|line| {
            let (name, fields) = line.strip_prefix("cmdstat_")?.split_once(":calls=")?;
            if besides.contains(&name) {
                return None;
            }
            fields.split(',').next()?.parse::<u64>().ok()
        });
        calls.sum()
    }

    /// A connection of the bare client.
    pub(crate) async fn connect(&self) -> redis::aio::MultiplexedConnection {
        let client = redis::Client::open(self.url.as_str()).expect("a good URL");
        client.get_multiplexed_async_connection().await.expect("the server answers")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Best effort: the process was started here and may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
