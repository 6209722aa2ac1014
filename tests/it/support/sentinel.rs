//! A primary, replicas, and the sentinels that watch them.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use redis::Value;
use tempfile::TempDir;

use super::proxy::Proxy;
use super::redis_server::{RedisServer, binary, free_port};
use super::replicated::{PASSWORD, Replicated, ask, follow, protect, until_in_step};

/// What the sentinels call the primary.
pub(crate) const MASTER: &str = "the-primary";
/// What sentinels ask for where the servers ask for [`PASSWORD`].
pub(crate) const SENTINEL_PASSWORD: &str = "the-sentinels-word";

#[derive(Debug)]
pub(crate) struct Sentinels {
    pub(crate) servers: Vec<RedisServer>,
    /// Between each replica and the primary, where replication can be held back.
    pub(crate) links: Vec<Proxy>,
    watchers: Vec<SentinelServer>,
    /// What the servers ask for.
    password: Option<&'static str>,
}

#[derive(Debug)]
struct SentinelServer {
    port: u16,
    /// Whether it asks for its password, and gives the servers theirs.
    is_protected: bool,
    process: Child,
    _directory: TempDir,
}

impl Sentinels {
    /// One primary, so many replicas, three sentinels that agree by two; waits until they all know each other.
    pub(crate) async fn start(replicas: usize) -> Self {
        Self::watching(Self::in_step(replicas).await, Vec::new(), Duration::from_secs(2), None).await
    }

    /// The same where the servers ask for [`PASSWORD`] and the sentinels for [`SENTINEL_PASSWORD`].
    pub(crate) async fn start_with_passwords(replicas: usize) -> Self {
        let servers = Self::in_step(replicas).await;
        servers.iter().for_each(protect);
        Self::watching(servers, Vec::new(), Duration::from_secs(2), Some(PASSWORD)).await
    }

    /// A primary and its replicas.
    async fn in_step(replicas: usize) -> Vec<RedisServer> {
        let servers: Vec<RedisServer> =
            (0..=replicas).map(|_| RedisServer::start_with(&["--repl-diskless-sync-delay", "0"])).collect();
        for replica in &servers[1..] {
            follow(replica, servers[0].port());
        }
        for replica in &servers[1..] {
            until_in_step(replica).await;
        }
        servers
    }

    /// The same with replicas that follow through proxies, so that one is promoted that has not seen everything.
    pub(crate) async fn start_held_back(replicas: usize) -> Self {
        let Replicated { primary, replicas, links } = Replicated::start(replicas).await;
        let servers = std::iter::once(primary).chain(replicas).collect();
        // A replica that follows something unknown is put right by the sentinels after that time.
        Self::watching(servers, links, Duration::from_secs(20), None).await
    }

    async fn watching(
        servers: Vec<RedisServer>,
        links: Vec<Proxy>,
        failover_timeout: Duration,
        password: Option<&'static str>,
    ) -> Self {
        let replicas = servers.len() - 1;
        let primary = servers[0].port();
        let watchers =
            (0..3).map(|_| SentinelServer::start(primary, failover_timeout, password.is_some())).collect();
        let started = Self { servers, links, watchers, password };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !started.know_each_other(replicas) {
            assert!(Instant::now() < deadline, "the sentinels do not find each other");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        started
    }

    fn know_each_other(&self, replicas: usize) -> bool {
        self.watchers.iter().all(|sentinel| {
            let Some(info) = sentinel.info() else { return false };
            info.contains("sentinels=3")
                && info.contains(&format!("slaves={replicas}"))
                && info.contains("status=ok")
        })
    }

    /// With the sentinels' own password, where they ask for one.
    pub(crate) fn urls(&self) -> Vec<String> {
        self.watchers.iter().map(SentinelServer::url).collect()
    }

    /// The port that the first sentinel names.
    pub(crate) fn primary_port(&self) -> Option<u16> {
        self.watchers[0].primary_port()
    }

    /// The ports that they all name.
    pub(crate) fn primary_ports(&self) -> Vec<Option<u16>> {
        self.watchers.iter().map(SentinelServer::primary_port).collect()
    }

    /// Asks for another primary while the present one is well.
    pub(crate) fn fail_over(&self) {
        let _: Value =
            self.watchers[0].query(&["SENTINEL", "FAILOVER", MASTER]).expect("there is a replica to promote");
    }

    /// `kill -9` to every sentinel.
    pub(crate) fn kill_sentinels(&mut self) {
        for sentinel in &mut self.watchers {
            sentinel.process.kill().expect("it runs");
            sentinel.process.wait().expect("it was started here");
        }
    }

    /// Waits until the sentinels name another server than that one, and it says itself that it is a primary.
    pub(crate) async fn until_primary_is_not(&self, port: u16) {
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            let named = self.primary_port().filter(|&named| named != port);
            let server = named.and_then(|named| self.servers.iter().find(|server| server.port() == named));
            if server.is_some_and(|server| self.is_primary(server)) {
                return;
            }
            assert!(Instant::now() < deadline, "no failover");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    fn is_primary(&self, server: &RedisServer) -> bool {
        let Ok(Value::Array(role)) = ask(server, self.password, &["ROLE"]) else { return false };
        matches!(role.first(), Some(Value::BulkString(name)) if name == b"master")
    }
}

impl SentinelServer {
    fn start(primary: u16, failover_timeout: Duration, is_protected: bool) -> Self {
        let (port, directory) =
            (free_port(), TempDir::with_prefix("keylatch-sentinel").expect("a directory"));
        let config = directory.path().join("sentinel.conf");
        let passwords = if is_protected {
            format!("requirepass {SENTINEL_PASSWORD}\nsentinel auth-pass {MASTER} {PASSWORD}\n")
        } else {
            String::new()
        };
        let text = format!(
            "port {port}\nbind 127.0.0.1\nsentinel monitor {MASTER} 127.0.0.1 {primary} 2\n\
             sentinel down-after-milliseconds {MASTER} 500\nsentinel failover-timeout {MASTER} {}\n\
             sentinel parallel-syncs {MASTER} 2\n{passwords}",
            failover_timeout.as_millis()
        );
        std::fs::write(&config, text).expect("the directory is ours");
        let process = Command::new(binary())
            .arg(&config)
            .arg("--sentinel")
            .arg("--dir")
            .arg(directory.path())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("`redis-server` is installed (apt-get install redis-server)");
        Self { port, is_protected, process, _directory: directory }
    }

    fn url(&self) -> String {
        let login = if self.is_protected { format!(":{SENTINEL_PASSWORD}@") } else { String::new() };
        format!("redis://{login}127.0.0.1:{}", self.port)
    }

    fn query<T: redis::FromRedisValue>(&self, words: &[&str]) -> redis::RedisResult<T> {
        let client = redis::Client::open(self.url()).expect("a good URL");
        let mut connection = client.get_connection_with_timeout(Duration::from_secs(1))?;
        redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
    }

    fn primary_port(&self) -> Option<u16> {
        let answer: Vec<String> = self.query(&["SENTINEL", "get-master-addr-by-name", MASTER]).ok()?;
        answer.get(1)?.parse().ok()
    }

    fn info(&self) -> Option<String> {
        self.query(&["INFO", "sentinel"]).ok()
    }
}

impl Drop for SentinelServer {
    fn drop(&mut self) {
        // Best effort: it was started here and may have ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
