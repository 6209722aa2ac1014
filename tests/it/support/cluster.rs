//! A cluster of this test alone: masters that share the slots, and a replica for each.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use redis::{RedisResult, Value};

use super::redis_server::{RedisServer, free_port};
use super::replicated::{PASSWORD, ask, protect};

const SLOTS: usize = 16_384;

#[derive(Debug)]
pub(crate) struct Cluster {
    /// The masters first, then their replicas in the same order.
    pub(crate) nodes: Vec<RedisServer>,
    masters: usize,
    /// What every node asks for.
    password: Option<&'static str>,
}

impl Cluster {
    /// Waits until every node knows all slots, and the replicas are in step.
    pub(crate) async fn start(masters: usize, replicas: bool) -> Self {
        let count = if replicas { 2 * masters } else { masters };
        let arguments =
            ["--cluster-enabled", "yes", "--cluster-node-timeout", "1500", "--repl-diskless-sync-delay", "0"];
        let nodes = (0..count).map(|_| RedisServer::start_on(port_with_bus(), &arguments)).collect();
        let cluster = Self { nodes, masters, password: None };
        for (index, node) in cluster.nodes.iter().enumerate() {
            node.query(&["CLUSTER", "SET-CONFIG-EPOCH", &(index + 1).to_string()]).expect("a fresh node");
            let first = cluster.nodes[0].port().to_string();
            node.query(&["CLUSTER", "MEET", "127.0.0.1", &first]).expect("a fresh node");
        }
        for (index, node) in cluster.nodes[..masters].iter().enumerate() {
            let own = index * SLOTS / masters..(index + 1) * SLOTS / masters;
            // One by one, since `ADDSLOTSRANGE` is not in Redis 6.2.
            let slots: Vec<String> = own.map(|slot| slot.to_string()).collect();
            let words = ["CLUSTER", "ADDSLOTS"].into_iter().chain(slots.iter().map(String::as_str));
            node.query(&words.collect::<Vec<_>>()).expect("free slots");
        }
        cluster
            .until("every node knows the others", |node| {
                Self::field(node, "cluster_known_nodes") == Some(count.to_string())
            })
            .await;
        for (replica, master) in cluster.nodes[masters..].iter().zip(&cluster.nodes) {
            let id = Self::id(master);
            let deadline = Instant::now() + Duration::from_secs(10);
            while replica.query(&["CLUSTER", "REPLICATE", &id]).is_err() {
                assert!(Instant::now() < deadline, "no replication");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
        cluster.until_healthy().await;
        cluster
    }

    /// The same where every node asks for [`PASSWORD`]. Slots cannot be moved there.
    pub(crate) async fn start_with_password(masters: usize, replicas: bool) -> Self {
        let mut cluster = Self::start(masters, replicas).await;
        cluster.nodes.iter().for_each(protect);
        cluster.password = Some(PASSWORD);
        cluster
    }

    fn ask(&self, node: &RedisServer, words: &[&str]) -> RedisResult<Value> {
        ask(node, self.password, words)
    }

    /// Waits until every running node knows an owner for each slot, and every replica follows.
    pub(crate) async fn until_healthy(&self) {
        self.until("the cluster is whole", |node| {
            Self::field(node, "cluster_state").as_deref() == Some("ok")
                && node.info("master_link_status").is_none_or(|status| status == "up")
        })
        .await;
    }

    async fn until(&self, what: &str, holds: impl Fn(&RedisServer) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(40);
        while !self.nodes.iter().filter(|node| node.is_running()).all(&holds) {
            assert!(Instant::now() < deadline, "{what}");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    fn field(node: &RedisServer, name: &str) -> Option<String> {
        let info: String = redis::from_redis_value(node.query(&["CLUSTER", "INFO"]).ok()?).ok()?;
        let line = info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.trim().to_owned())
    }

    pub(crate) fn id(node: &RedisServer) -> String {
        redis::from_redis_value(node.query(&["CLUSTER", "MYID"]).expect("the node answers")).expect("an id")
    }

    /// `host:port` of every node.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port())).collect()
    }

    pub(crate) fn masters(&self) -> &[RedisServer] {
        &self.nodes[..self.masters]
    }

    /// The slot of a key, by what the nodes say.
    pub(crate) fn slot_of(&self, key: &str) -> u16 {
        let running = self.nodes.iter().find(|node| node.is_running()).expect("one runs");
        let slot = self.ask(running, &["CLUSTER", "KEYSLOT", key]).expect("it answers");
        redis::from_redis_value(slot).expect("a slot")
    }

    /// The running node that owns a slot, by what the nodes say.
    pub(crate) fn owner(&self, slot: u16) -> Option<usize> {
        let running = self.nodes.iter().find(|node| node.is_running())?;
        let Value::Array(ranges) = self.ask(running, &["CLUSTER", "SLOTS"]).ok()? else { return None };
        for range in ranges {
            let Value::Array(parts) = range else { return None };
            let [Value::Int(first), Value::Int(last), Value::Array(owner), ..] = &parts[..] else {
                return None;
            };
            if (*first..=*last).contains(&i64::from(slot)) {
                let [_, Value::Int(port), ..] = &owner[..] else { return None };
                return self.nodes.iter().position(|node| i64::from(node.port()) == *port);
            }
        }
        None
    }

    /// Waits until the slot is owned by a running node other than `not`.
    pub(crate) async fn until_owner_is_not(&self, slot: u16, not: usize) -> usize {
        let deadline = Instant::now() + Duration::from_secs(40);
        loop {
            if let Some(owner) =
                self.owner(slot).filter(|&owner| owner != not && self.nodes[owner].is_running())
            {
                return owner;
            }
            assert!(Instant::now() < deadline, "nobody has taken slot {slot} over");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Has the replica of that master take over while the master is well, and waits until it has.
    pub(crate) async fn fail_over(&self, master: usize) {
        let replica = self.masters + master;
        let slot = u16::try_from(master * SLOTS / self.masters).expect("a slot");
        let deadline = Instant::now() + Duration::from_secs(40);
        let mut asked: Option<Instant> = None;
        while self.owner(slot) != Some(replica) {
            assert!(Instant::now() < deadline, "no failover");
            // The servers give up what has not come about within five seconds.
            if asked.is_none_or(|asked| asked.elapsed() > Duration::from_secs(6)) {
                // Refused if it has come about just now.
                let _ = self.ask(&self.nodes[replica], &["CLUSTER", "FAILOVER"]);
                asked = Some(Instant::now());
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Begins to move a slot: from now on, its owner asks to `ASK` the other for keys that it no longer has.
    pub(crate) fn begin_migration(&self, slot: u16, from: usize, to: usize) {
        let (from, to) = (&self.nodes[from], &self.nodes[to]);
        let slot = slot.to_string();
        to.query(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &Self::id(from)]).expect("the node answers");
        from.query(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &Self::id(to)]).expect("the node answers");
    }

    /// Moves one key of the slot, if it is there.
    pub(crate) fn migrate_key(&self, key: &str, from: usize, to: usize) {
        let port = self.nodes[to].port().to_string();
        self.nodes[from].query(&["MIGRATE", "127.0.0.1", &port, key, "0", "2000"]).expect("the key moves");
    }

    /// Moves what is left of the slot, and tells every node who owns it.
    pub(crate) fn end_migration(&self, slot: u16, from: usize, to: usize) {
        let number = slot.to_string();
        loop {
            let keys =
                self.nodes[from].query(&["CLUSTER", "GETKEYSINSLOT", &number, "100"]).expect("it answers");
            let keys: Vec<String> = redis::from_redis_value(keys).expect("keys");
            if keys.is_empty() {
                break;
            }
            for key in keys {
                self.migrate_key(&key, from, to);
            }
        }
        let id = Self::id(&self.nodes[to]);
        for node in [to, from].into_iter().chain(0..self.masters) {
            // The two that are concerned first; the rest may have heard of it already.
            let _ = self.nodes[node].query(&["CLUSTER", "SETSLOT", &number, "NODE", &id]);
        }
    }
}

/// A port whose cluster bus, 10,000 above, is free, too.
fn port_with_bus() -> u16 {
    loop {
        let port = free_port();
        if port < 55_000 && TcpListener::bind(("127.0.0.1", port + 10_000)).is_ok() {
            return port;
        }
    }
}
