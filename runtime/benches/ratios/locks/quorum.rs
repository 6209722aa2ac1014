//! A lock over five masters of the loopback interface, against the bare client that asks all of them at once and goes on with
//! the third answer. Five servers and the client share the cores: it is the processor that is measured, not the network.

use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{FuturesUnordered, StreamExt};
use keylatch::Keylatch;
use redis::aio::MultiplexedConnection;

use crate::contest::{Contest, Unit, is_wanted};
use crate::server::Server;

const MASTERS: usize = 5;
const UNLOCK: &str =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";

/// What a careful service would do by hand.
#[derive(Clone)]
struct Bare {
    masters: Vec<MultiplexedConnection>,
    unlock: Arc<redis::Script>,
}

impl Bare {
    async fn new(servers: &[Server]) -> Self {
        let mut masters = Vec::new();
        for server in servers {
            let client = redis::Client::open(server.url.as_str()).expect("a good URL");
            masters.push(client.get_multiplexed_async_connection().await.expect("the server answers"));
        }
        Self { masters, unlock: Arc::new(redis::Script::new(UNLOCK)) }
    }

    async fn lock(self) {
        let value = fastrand::u128(..).to_ne_bytes();
        let mut set = redis::cmd("SET");
        set.arg("bare-quorum").arg(&value).arg("NX").arg("PX").arg(30_000);
        let grants = self.masters.iter().cloned().map(|mut master| {
            let set = set.clone();
            async move { set.exec_async(&mut master).await }
        });
        majority(grants.collect()).await;
        let releases = self.masters.iter().cloned().map(|mut master| {
            let unlock = Arc::clone(&self.unlock);
            async move { unlock.key("bare-quorum").arg(&value).invoke_async::<()>(&mut master).await }
        });
        majority(releases.collect()).await;
    }
}

/// Goes on with the third answer; the other requests were sent all the same, and are left to themselves.
async fn majority<F: Future<Output = redis::RedisResult<()>>>(mut answers: FuturesUnordered<F>) {
    for _ in 0..=MASTERS / 2 {
        answers.next().await.expect("five were asked").expect("the server answers");
    }
}

pub(super) async fn run() {
    let name = "lock and release over five masters | the same by hand, in parallel";
    if !is_wanted(name) {
        return;
    }
    let mut servers = Vec::new();
    for _ in 0..MASTERS {
        servers.push(Server::start().await);
    }
    let bare = Bare::new(&servers).await;
    let urls = servers.iter().map(|server| server.url.clone());
    let cache = Keylatch::builder()
        .redis_url(servers[0].url.as_str())
        .lock_urls(urls)
        .namespace("bench")
        .build()
        .expect("good settings");
    let alone = Contest { tasks: 1, unit: Unit::Latency };
    let ours = |_| {
        let cache = cache.clone();
        async move {
            let lock = cache.lock("bench").ttl(Duration::from_secs(30));
            lock.run(async |_lease| ()).await.expect("nobody else locks");
        }
    };
    alone.run(name, |_| bare.clone().lock(), ours).await;
}
