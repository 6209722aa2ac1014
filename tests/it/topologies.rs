//! One store serves every topology: the conformance suite and the staleness torture on each.

use keylatch::{Builder, Keylatch};

use crate::support::cluster::Cluster;
use crate::support::replicated::Replicated;
use crate::support::sentinel::{MASTER, Sentinels};
use crate::support::{RedisServer, Upstash};
use crate::torture::{By, KEYS_PER_RUN, none_is_stale};

/// Servers that a test has started, and how to connect to them.
trait Topology {
    /// How many keys the torture takes, each way: the protocol is the same as over a single server.
    fn keys(&self) -> usize {
        KEYS_PER_RUN / 2
    }

    fn builder(&self) -> Builder;

    fn keylatch(&self) -> Keylatch {
        self.builder().namespace("test").build().expect("good settings")
    }
}

struct Pool(RedisServer);

impl Topology for Pool {
    fn builder(&self) -> Builder {
        Keylatch::builder().redis_url(self.0.url()).pool_size(5)
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
        KEYS_PER_RUN / 5
    }

    fn builder(&self) -> Builder {
        Keylatch::builder().upstash(self.stand_in.url(), Upstash::TOKEN)
    }
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
                let servers = $start;
                for by in [By::Key, By::Tag, By::Pattern, By::Function, By::Tracked, By::Clear, By::Refresh] {
                    let instances = (0..3).map(|_| servers.keylatch()).collect();
                    none_is_stale(by, servers.keys(), instances).await;
                }
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
