//! Locks over several masters, against the bare client asking all at once for a majority, with the same checks.

use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use keylatch::Keylatch;
use redis::aio::MultiplexedConnection;

use crate::server::Server;

/// Several servers, and both ways to lock on them.
pub(crate) struct Masters {
    connections: Arc<Vec<MultiplexedConnection>>,
    unlock: Arc<redis::Script>,
    cache: Keylatch,
    _servers: Vec<Server>,
}

impl Masters {
    pub(crate) async fn start(count: usize) -> Self {
        let unlock =
            "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0";
        let unlock = Arc::new(redis::Script::new(unlock));
        let (mut servers, mut connections) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let server = Server::start().await;
            let mut connection = server.connect().await;
            unlock.load_async(&mut connection).await.expect("the server answers");
            connections.push(connection);
            servers.push(server);
        }
        let cache = Keylatch::builder()
            .lock_urls(servers.iter().map(|server| server.url.clone()))
            .namespace("bench")
            .build()
            .expect("good settings");
        Self { connections: Arc::new(connections), unlock, cache, _servers: servers }
    }

    /// All at once, done at the deciding answer, the elapsed time looked at; and the same for the release.
    ///
    /// What is still under way at a decision is waited for in a task of its own: the client does not send what its caller has
    /// given up by the time that it would write it, and a release that is not sent leaves a key in everybody's way.
    pub(crate) fn bare(&self) -> impl Future<Output = ()> + Send + use<> {
        let (connections, unlock) = (Arc::clone(&self.connections), Arc::clone(&self.unlock));
        // Without the runtime's budget: at its end a request would leave after what follows it on another connection.
        tokio::task::unconstrained(async move {
            let token = fastrand::u128(..).to_ne_bytes();
            let needed = connections.len() / 2 + 1;
            let began = Instant::now();
            let set = |mut connection: MultiplexedConnection| async move {
                let mut set = redis::cmd("SET");
                set.arg("bare-lock").arg(&token).arg("NX").arg("PX").arg(30_000);
                set.query_async::<Option<()>>(&mut connection).await
            };
            let mut asked: FuturesUnordered<_> = connections.iter().cloned().map(set).collect();
            let mut granted = 0;
            while granted < needed {
                let answer = asked.next().await.expect("a majority");
                granted += usize::from(answer.expect("the server answers").is_some());
            }
            assert!(began.elapsed() < Duration::from_secs(15), "in time");
            let free = |mut connection: MultiplexedConnection| {
                let unlock = Arc::clone(&unlock);
                async move { unlock.key("bare-lock").arg(&token).invoke_async::<u8>(&mut connection).await }
            };
            let mut freed: FuturesUnordered<_> = connections.iter().cloned().map(free).collect();
            for _ in 0..needed {
                freed.next().await.expect("a majority").expect("the server answers");
            }
            tokio::spawn(async move {
                while asked.next().await.is_some() {}
                while freed.next().await.is_some() {}
            });
        })
    }

    pub(crate) fn lock(&self, is_fenced: bool) -> impl Future<Output = ()> + Send + use<> {
        let cache = self.cache.clone();
        async move {
            let lock = cache.lock("lock").ttl(Duration::from_secs(30));
            let lock = if is_fenced { lock.fence() } else { lock };
            lock.run(async |_lease| ()).await.expect("nobody else locks");
        }
    }
}
