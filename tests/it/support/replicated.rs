//! A primary with replicas, each following it through a proxy of its own, so that replication can be held back.

use std::time::{Duration, Instant};

use redis::{RedisResult, Value};

use super::proxy::Proxy;
use super::redis_server::RedisServer;
use super::until;

/// What servers ask for that are [protected](protect).
pub(crate) const PASSWORD: &str = "the-servers-word";

#[derive(Debug)]
pub(crate) struct Replicated {
    pub(crate) primary: RedisServer,
    pub(crate) replicas: Vec<RedisServer>,
    /// Between each replica and the primary.
    pub(crate) links: Vec<Proxy>,
}

impl Replicated {
    /// Waits until every replica is in step.
    pub(crate) async fn start(replicas: usize) -> Self {
        let primary = RedisServer::start_with(&["--repl-diskless-sync-delay", "0"]);
        let mut links = Vec::new();
        let mut servers = Vec::new();
        for _ in 0..replicas {
            let link = Proxy::to(primary.port()).await;
            let replica = RedisServer::start();
            follow(&replica, link.port());
            links.push(link);
            servers.push(replica);
        }
        let replicated = Self { primary, replicas: servers, links };
        for replica in &replicated.replicas {
            until_in_step(replica).await;
        }
        replicated
    }

    /// Waits until every replica has all that the primary has by now.
    pub(crate) async fn until_caught_up(&self) {
        let offset = |server: &RedisServer, field: &str| -> Option<u64> { server.info(field)?.parse().ok() };
        let needed = offset(&self.primary, "master_repl_offset").expect("the primary answers");
        for replica in &self.replicas {
            let has_it = || offset(replica, "slave_repl_offset").is_some_and(|there| there >= needed);
            until("the replica catches up", has_it).await;
        }
    }
}

/// How often keys were read from that server.
pub(crate) fn reads(server: &RedisServer) -> u64 {
    let calls = server.all_calls();
    ["get", "mget"].iter().filter_map(|command| calls.get(*command)).sum()
}

/// Makes a server a replica of the one behind that port.
pub(crate) fn follow(replica: &RedisServer, port: u16) {
    replica.query(&["REPLICAOF", "127.0.0.1", &port.to_string()]).expect("the replica answers");
}

pub(crate) async fn until_in_step(replica: &RedisServer) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while replica.info("master_link_status").as_deref() != Some("up") {
        assert!(Instant::now() < deadline, "the replica on port {} does not follow", replica.port());
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// From now on, the server lets in only who knows [`PASSWORD`], which it uses itself with its primary. Connections that
/// there are stay.
pub(crate) fn protect(server: &RedisServer) {
    for setting in ["masterauth", "requirepass"] {
        server.query(&["CONFIG", "SET", setting, PASSWORD]).expect("nobody is refused yet");
    }
}

/// Any command on a connection of its own, with the password where there is one.
pub(crate) fn ask(server: &RedisServer, password: Option<&str>, words: &[&str]) -> RedisResult<Value> {
    let Some(password) = password else { return server.query(words) };
    let client = redis::Client::open(format!("redis://:{password}@127.0.0.1:{}", server.port()))?;
    let mut connection = client.get_connection_with_timeout(Duration::from_secs(2))?;
    redis::cmd(words[0]).arg(&words[1..]).query(&mut connection)
}
