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
