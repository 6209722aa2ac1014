//! Passwords where there are several servers: the login that is given is that of the servers that are found, too.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Builder, CachedCall, Key, Keylatch, cached};

use crate::support::RedisServer;
use crate::support::cluster::Cluster;
use crate::support::replicated::PASSWORD;
use crate::support::sentinel::{MASTER, SENTINEL_PASSWORD, Sentinels};

/// Enough that every master of a cluster has some.
const IDS: u64 = 20;
/// How long everything may take until it is served.
const SERVED: Duration = Duration::from_secs(20);

struct Source {
    cache: Keylatch,
    runs: AtomicU64,
}

#[cached(key = "tripled:{n}", ttl = "10m", local = off, skip(source), using = source.cache)]
async fn tripled(source: &Source, n: u64) -> u64 {
    source.runs.fetch_add(1, Ordering::SeqCst);
    3 * n
}

impl Source {
    fn on(builder: Builder) -> Self {
        let builder = builder.namespace("test").command_timeout(Duration::from_secs(1));
        let cache = builder.build().expect("good settings");
        Self { cache, runs: AtomicU64::new(0) }
    }

    fn runs(&self) -> u64 {
        self.runs.load(Ordering::SeqCst)
    }

    /// Waits until every entry is stored and found, goes when it is invalidated, and every lock is granted. Where
    /// nobody is let in, only bodies answer.
    async fn until_all_is_served(&self) {
        let began = Instant::now();
        for n in 0..IDS {
            while !self.is_served(n).await {
                assert!(began.elapsed() < SERVED, "{n} is not served");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }

    async fn is_served(&self, n: u64) -> bool {
        assert_eq!(tripled(self, n).await, 3 * n);
        let stored = self.runs();
        assert_eq!(tripled(self, n).await, 3 * n);
        let is_found = self.runs() == stored;
        let is_invalidated = tripled(self, n).invalidate().await.is_ok();
        assert_eq!(tripled(self, n).await, 3 * n);
        let has_gone = self.runs() == stored + 1;
        let lock = self.cache.lock(Key::of("lock").part(&n));
        let is_granted = lock.run(async |_lease| ()).await.is_ok();
        is_found && is_invalidated && has_gone && is_granted
    }
}

fn assert_each_asks(servers: &[RedisServer]) {
    for server in servers {
        let refused = server.command("PING").expect("it answers");
        assert!(refused.starts_with("-NOAUTH"), "{refused}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_node_of_a_cluster_is_told_it() {
    let cluster = Cluster::start_with_password(3, true).await;
    assert_each_asks(&cluster.nodes);
    // One node is given, and names the others.
    let one = cluster.addresses().into_iter().take(1);
    let source = Source::on(Keylatch::builder().cluster(one).password(PASSWORD));
    source.until_all_is_served().await;
    // Who takes over was never dialled before.
    cluster.fail_over(0).await;
    source.until_all_is_served().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_have_their_own() {
    let servers = Sentinels::start_with_passwords(1).await;
    assert_each_asks(&servers.servers);
    let source = Source::on(Keylatch::builder().sentinel(servers.urls(), MASTER).password(PASSWORD));
    source.until_all_is_served().await;
    let old = servers.servers[0].port();
    servers.fail_over();
    servers.until_primary_is_not(old).await;
    source.until_all_is_served().await;

    // The servers' password is not theirs.
    let login = format!(":{SENTINEL_PASSWORD}@");
    let without = servers.urls().into_iter().map(|url| url.replace(&login, ""));
    let stranger = Source::on(Keylatch::builder().sentinel(without, MASTER).password(PASSWORD));
    assert!(stranger.cache.invalidate("unrelated").await.is_err(), "the sentinels ask, too");
}
