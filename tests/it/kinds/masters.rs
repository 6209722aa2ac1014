//! The kinds by attribute over three masters: of those who come at the same time, as many are inside at once as their kind
//! allows, and never more.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use keylatch::{Keylatch, LockError, with_lock};

use crate::support::room::Room;
use crate::support::{RedisServer, length, until};

/// How many come at the same time.
const CALLERS: usize = 3;
/// Time for one too many to come in.
const STAY: Duration = Duration::from_millis(30);

/// One of those who come, as a process of its own would.
struct Caller {
    cache: Keylatch,
    /// Where its body is.
    room: Arc<Room>,
    /// How many may be there at once: so many are waited for.
    allowed: u32,
    /// Where nobody may be meanwhile.
    apart: Arc<Room>,
}

impl Caller {
    #[with_lock(key = "report", ttl = "10s", wait = "30s", using = self.cache)]
    async fn plain(&self) -> Result<(), LockError> {
        self.stay().await;
        Ok(())
    }

    #[with_lock(key = "report", ttl = "10s", wait = "30s", exclusive, using = self.cache)]
    async fn exclusive(&self) -> Result<(), LockError> {
        self.stay().await;
        Ok(())
    }

    #[with_lock(key = "report", ttl = "10s", wait = "30s", shared, using = self.cache)]
    async fn shared(&self) -> Result<(), LockError> {
        self.stay().await;
        Ok(())
    }

    #[with_lock(key = "seats", ttl = "10s", wait = "30s", permits = 2, using = self.cache)]
    async fn permit(&self) -> Result<(), LockError> {
        self.stay().await;
        Ok(())
    }

    #[with_lock(keys = ["account:{from}", "account:{to}"], ttl = "10s", wait = "30s", using = self.cache)]
    async fn several(&self, from: usize, to: usize) -> Result<(), LockError> {
        self.stay().await;
        Ok(())
    }

    async fn stay(&self) {
        let alone = || assert_eq!(self.apart.inside(), 0, "those are inside together who must not be");
        let stay = async {
            alone();
            until("fewer are inside than may be", || self.room.most() >= self.allowed).await;
            tokio::time::sleep(STAY).await;
            alone();
        };
        self.room.visit(stay).await;
    }

    async fn call(&self, kind: &str, index: usize) -> Result<(), LockError> {
        match kind {
            "plain" => self.plain().await,
            "exclusive" => self.exclusive().await,
            "shared" => self.shared().await,
            "permit" => self.permit().await,
            // Any two of them have a key in common, or none have.
            "several in a ring" => self.several(index, (index + 1) % CALLERS).await,
            "several apart" => self.several(2 * index, 2 * index + 1).await,
            other => panic!("no kind `{other}`"),
        }
    }

    async fn comes(&self, kind: &str, index: usize) {
        while let Err(error) = self.call(kind, index).await {
            // A busy machine may answer too late for a quorum: then it is asked again.
            assert!(matches!(error, LockError::NoQuorum { .. }), "{kind}: {error}");
        }
    }
}

fn masters() -> Vec<RedisServer> {
    (0..3).map(|_| RedisServer::start()).collect()
}

/// Instances of their own over the same masters, which all vote by then.
async fn instances(masters: &[RedisServer]) -> [Keylatch; CALLERS] {
    let instances = [(); CALLERS].map(|()| {
        let builder = Keylatch::builder().lock_urls(masters.iter().map(RedisServer::url));
        builder.namespace("test").build().expect("good settings")
    });
    instances[0].lock("warm").run(async |_lease| ()).await.unwrap();
    instances
}

fn rounds() -> u32 {
    if length::long().is_some() { 100 } else { 3 }
}

/// Three come at the same time: so many are inside at once as are `allowed`, and all have been there.
async fn inside_at_once(kind: &str, allowed: u32) {
    let masters = masters();
    let instances = instances(&masters).await;
    for round in 0..rounds() {
        let (room, apart) = (Arc::<Room>::default(), Arc::<Room>::default());
        let callers = instances.each_ref().map(|cache| Caller {
            cache: cache.clone(),
            room: Arc::clone(&room),
            allowed,
            apart: Arc::clone(&apart),
        });
        join_all(callers.iter().enumerate().map(|(index, caller)| caller.comes(kind, index))).await;
        assert_eq!((room.entered(), room.most()), (3, allowed), "{kind}, round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_further_options() {
    inside_at_once("plain", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_who_wants_it_exclusively() {
    inside_at_once("exclusive", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_share() {
    inside_at_once("shared", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn as_many_as_there_are_permits() {
    inside_at_once("permit", 2).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_those_who_have_a_key_in_common() {
    inside_at_once("several in a ring", 1).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_who_have_no_key_in_common() {
    inside_at_once("several apart", 3).await;
}

/// The two kinds of one key know of each other: one who writes and two who read come at the same time.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_writes_is_never_beside_who_reads() {
    let masters = masters();
    let instances = instances(&masters).await;
    for round in 0..rounds() {
        let (readers, writers) = (Arc::<Room>::default(), Arc::<Room>::default());
        let caller = |cache: &Keylatch, room: &Arc<Room>, apart: &Arc<Room>| Caller {
            cache: cache.clone(),
            room: Arc::clone(room),
            allowed: 1,
            apart: Arc::clone(apart),
        };
        let [writer, one, other] = [
            caller(&instances[0], &writers, &readers),
            caller(&instances[1], &readers, &writers),
            caller(&instances[2], &readers, &writers),
        ];
        tokio::join!(writer.comes("exclusive", 0), one.comes("shared", 1), other.comes("shared", 2));
        assert_eq!((writers.entered(), readers.entered()), (1, 2), "round {round}");
    }
}
