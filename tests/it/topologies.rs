//! One store serves every topology: the conformance suite and the staleness torture on each.

mod from_replicas;

use std::collections::HashSet;
use std::time::Duration;

use keylatch::{Builder, Keylatch};

use crate::support::cluster::Cluster;
use crate::support::replicated::Replicated;
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::{RedisServer, Upstash};
use crate::torture::{By, KEYS_PER_RUN, none_is_stale};

const INSTANCES: usize = 3;
const WAYS: [By; 9] = [
    By::Key,
    By::Tag,
    By::Pattern,
    By::Function,
    By::Cascade,
    By::Tracked,
    By::TrackedByPattern,
    By::Clear,
    By::Refresh,
];

/// Servers that a test has started, and how to connect to them.
trait Topology {
    /// How many keys the torture takes, each way: the protocol is the same as over a single server.
    fn keys(&self) -> usize {
        KEYS_PER_RUN / 4
    }

    fn builder(&self) -> Builder;

    fn keylatch(&self) -> Keylatch {
        self.builder().namespace("test").build().expect("good settings")
    }

    /// Lets the torture run, with whatever is to happen meanwhile.
    async fn beside(&self, torture: impl Future<Output = ()>) {
        torture.await;
    }
}

struct Pool(RedisServer);

impl Topology for Pool {
    fn builder(&self) -> Builder {
        Keylatch::builder().redis_url(self.0.url()).pool_size(5)
    }

    /// Commands stay on one connection as long as answers come over it. So the server pauses now and then: what is
    /// asked meanwhile goes over the others, and so does the news of changes, in no order with what the first carries.
    async fn beside(&self, torture: impl Future<Output = ()>) {
        let mut used = HashSet::new();
        tokio::select! {
            () = torture => {}
            () = self.pause_again_and_again(&mut used) => unreachable!("the torture ends first"),
        }
        // The instances are new for each way, and would have one connection each if theirs were no pools.
        assert!(used.len() > WAYS.len() * INSTANCES, "{} connections have carried commands", used.len());
    }
}

impl Pool {
    async fn pause_again_and_again(&self, used: &mut HashSet<String>) {
        loop {
            self.0.query(&["CLIENT", "PAUSE", "15"]).expect("it answers");
            tokio::time::sleep(Duration::from_millis(300)).await;
            used.extend(self.used());
        }
    }

    /// Which connections have carried a command of a cached function last. The others were greeted, and are asked once
    /// a second whether they still tell of changes.
    fn used(&self) -> Vec<String> {
        let list = self.0.query(&["CLIENT", "LIST"]).expect("it answers");
        let list: String = redis::from_redis_value(list).expect("text");
        let field = |line: &str, name: &str| {
            line.split(' ').find_map(|field| field.strip_prefix(name)).map(str::to_owned)
        };
        let is_ours = |command: &str| ["get", "mget", "set", "eval", "evalsha"].contains(&command);
        let used = list.lines().filter(|line| field(line, "cmd=").is_some_and(|command| is_ours(&command)));
        used.filter_map(|line| field(line, "id=")).collect()
    }
}

impl Topology for Replicated {
    fn builder(&self) -> Builder {
        Keylatch::builder()
            .redis_url(self.primary.url())
            .read_replicas(self.replicas.iter().map(RedisServer::url))
    }
}

impl Topology for Sentinels {
    fn builder(&self) -> Builder {
        Keylatch::builder().sentinel(self.urls(), MASTER)
    }
}

impl Topology for Cluster {
    fn builder(&self) -> Builder {
        Keylatch::builder().cluster(self.addresses())
    }
}

struct Rest {
    _server: RedisServer,
    stand_in: Upstash,
}

impl Topology for Rest {
    /// A request takes many times as long as a command.
    fn keys(&self) -> usize {
        KEYS_PER_RUN / 8
    }

    fn builder(&self) -> Builder {
        Keylatch::builder().upstash(self.stand_in.url(), Upstash::TOKEN)
    }
}

async fn every_way(servers: &impl Topology) {
    let torture = async {
        for by in WAYS {
            let instances = (0..INSTANCES).map(|_| servers.keylatch()).collect();
            none_is_stale(by, servers.keys(), instances).await;
        }
    };
    servers.beside(Box::pin(torture)).await;
}

macro_rules! on {
    ($($name:ident: $start:expr),* $(,)?) => {
        $(mod $name {
            use super::*;

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn conforms() {
                let servers = $start;
                keylatch::__private::conforms(&servers.keylatch()).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn nothing_stale_stays() {
                every_way(&$start).await;
            }
        })*
    };
}

on! {
    pool: Pool(RedisServer::start()),
    replicas: Replicated::start(2).await,
    sentinel: Sentinels::start(1).await,
    cluster: Cluster::start(3, true).await,
    rest: {
        let server = RedisServer::start();
        Rest { stand_in: Upstash::start(&server), _server: server }
    },
}
