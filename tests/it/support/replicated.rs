//! A primary with replicas, each following it through a proxy of its own, so that replication can be held back.

use std::time::{Duration, Instant};

use super::proxy::Proxy;
use super::redis_server::RedisServer;

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
