//! Locks over independent masters, on real servers: promise 3 when some of them stop, forget, are cut off, or tell the time
//! wrong.

mod clocks;
mod held;
mod lines;
mod partitions;
mod recorded;
mod restarts;
mod speed;
mod stopped;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use keylatch::{Builder, FencingToken, Keylatch, Lease, LockBuilder};

use crate::support::{Proxy, RedisServer};

/// Independent masters.
struct Masters {
    servers: Vec<RedisServer>,
}

impl Masters {
    fn start(count: usize) -> Self {
        Self { servers: (0..count).map(|_| RedisServer::start()).collect() }
    }

    fn builder(&self) -> Builder {
        over(self.servers.iter().map(RedisServer::url))
    }

    fn keylatch(&self) -> Keylatch {
        self.builder().build().expect("good settings")
    }

    /// A proxy before each, of whoever wants his own.
    async fn proxies(&self) -> Vec<Proxy> {
        let mut proxies = Vec::new();
        for server in &self.servers {
            proxies.push(Proxy::to(server.port()).await);
        }
        proxies
    }

    /// On how many masters that answer something is at the lock's key.
    fn holding(&self, key: &str) -> usize {
        let exists = |server: &&RedisServer| {
            server.command(&format!("EXISTS test#lock:{key}")).is_some_and(|answer| answer == ":1")
        };
        self.servers.iter().filter(exists).count()
    }
}

fn over(urls: impl IntoIterator<Item = String>) -> Builder {
    Keylatch::builder().lock_urls(urls).namespace("test").command_timeout(Duration::from_secs(2))
}

fn through(proxies: &[Proxy]) -> Keylatch {
    over(proxies.iter().map(Proxy::url)).build().expect("good settings")
}

fn lock(cache: &Keylatch, key: &'static str, ttl: Duration) -> LockBuilder {
    cache.lock(key).ttl(ttl).fence()
}

/// Half of them want no token: those are asked for in another way.
fn lock_of_any_kind(cache: &Keylatch, key: &'static str, ttl: Duration) -> LockBuilder {
    let plain = cache.lock(key).ttl(ttl);
    if fastrand::bool() { plain.fence() } else { plain }
}

/// Who had a lock when, by what the holders knew themselves.
#[derive(Debug, Clone, Default)]
struct History(Arc<Mutex<Vec<Visit>>>);

#[derive(Debug, Clone, Copy)]
struct Visit {
    token: Option<u64>,
    from: Instant,
    /// When the holder last knew that it had it.
    to: Instant,
}

impl History {
    /// Holds the lock for a while, as far as it has it.
    async fn visit(&self, lease: Lease, lasting: Duration) {
        let from = Instant::now();
        let index = {
            let mut visits = self.0.lock().unwrap();
            visits.push(Visit { token: lease.token().map(FencingToken::get), from, to: from });
            visits.len() - 1
        };
        while from.elapsed() < lasting {
            // Looked at before: at that time it had the lock.
            let now = Instant::now();
            if lease.check().is_err() {
                return;
            }
            self.0.lock().unwrap()[index].to = now;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    fn visits(&self) -> Vec<Visit> {
        let mut visits = self.0.lock().unwrap().clone();
        visits.sort_by_key(|visit| visit.from);
        visits
    }

    /// How often somebody had the lock while somebody else did.
    fn overlaps(&self) -> usize {
        let visits = self.visits();
        let mut latest = None;
        let mut overlaps = 0;
        for visit in visits {
            overlaps += usize::from(latest.is_some_and(|latest| visit.from < latest));
            latest = latest.max(Some(visit.to));
        }
        overlaps
    }

    /// How often a token was not above that of a lock that had been let go before.
    fn regressions(&self) -> usize {
        let mut visits = self.visits();
        visits.retain(|visit| visit.token.is_some());
        let pairs = visits
            .iter()
            .enumerate()
            .flat_map(|(index, one)| visits[index + 1..].iter().map(move |other| (one, other)));
        pairs
            .filter(|(one, other)| {
                one.to <= other.from && one.token >= other.token || one.token == other.token
            })
            .count()
    }
}
