//! Fencing tokens: greater for each holder than for any before, across processes, after the server has forgotten everything,
//! and enough for a resource to refuse a holder that does not know yet that it is none.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use keylatch::{FencingToken, Keylatch, Lease, LockError, with_lock};

use super::lock;
use crate::support::{RedisServer, keylatch};

/// Tokens in the order in which they were held, under the lock itself.
type Tokens = Arc<Mutex<Vec<FencingToken>>>;

fn fenced(cache: &Keylatch) -> keylatch::LockBuilder {
    lock(cache, Duration::from_secs(10)).wait(Duration::from_secs(60)).fence()
}

async fn take_turns(instances: &[Keylatch], tasks: usize, rounds: usize) -> Vec<FencingToken> {
    let tokens = Tokens::default();
    let mut all = tokio::task::JoinSet::new();
    for index in 0..tasks {
        let (cache, tokens) = (instances[index % instances.len()].clone(), Arc::clone(&tokens));
        all.spawn(async move {
            for _ in 0..rounds {
                let body = async |lease: Lease| {
                    tokens.lock().unwrap().push(lease.token().expect("it was asked for"));
                    tokio::task::yield_now().await;
                };
                fenced(&cache).run(body).await.unwrap();
            }
        });
    }
    while let Some(ended) = all.join_next().await {
        ended.expect("everybody was let in");
    }
    Arc::into_inner(tokens).expect("all are done").into_inner().unwrap()
}

fn assert_growing(tokens: &[FencingToken]) {
    assert!(tokens.is_sorted_by(|one, next| one < next), "{tokens:?}");
    assert!(tokens.last().is_some_and(|last| last.get() < 1 << 53));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_holder_has_a_greater_token() {
    let server = RedisServer::start();
    let embedded = Keylatch::in_memory();
    for instances in [vec![keylatch(&server), keylatch(&server), keylatch(&server)], vec![embedded]] {
        let tokens = take_turns(&instances, 12, 20).await;
        assert_eq!(tokens.len(), 240);
        assert_growing(&tokens);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tokens_grow_after_the_server_has_forgotten_them() {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    let mut tokens = take_turns(&[one], 2, 3).await;
    server.query(&["FLUSHALL"]).unwrap();
    // The wall clock is far enough by now, microsecond by microsecond.
    tokens.extend(take_turns(&[two], 2, 3).await);
    assert_growing(&tokens);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counters_do_not_pile_up() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    for index in 0..50 {
        cache.lock(keylatch::Key::of("many").part(&index)).fence().run(async |_lease| ()).await.unwrap();
    }
    assert_eq!(server.key_count(), 1, "one for the namespace");
    assert_eq!(server.command("TTL test#fence").as_deref(), Some(":-1"), "for ever");
}

/// What a lock guards: a number, and the greatest token that was seen.
#[derive(Debug, Default)]
struct Resource {
    seen: Option<FencingToken>,
    value: u32,
}

impl Resource {
    /// Before reading, so that no stale holder writes after it.
    fn register(&mut self, token: FencingToken) -> u32 {
        self.seen = self.seen.max(Some(token));
        self.value
    }

    fn write(&mut self, token: FencingToken, value: u32, is_checked: bool) -> bool {
        if is_checked && self.seen.is_some_and(|seen| token < seen) {
            return false;
        }
        self.value = value;
        true
    }
}

/// The first holder reads, and is slow; its lock is lost, the second one writes; then the first writes. What the second has
/// written must not be lost: without the check it is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stale_holder_is_refused_by_the_resource() {
    let server = RedisServer::start();
    for is_checked in [true, false] {
        let (one, two) = (keylatch(&server), keylatch(&server));
        let mut resource = Resource::default();
        let stale = fenced(&one).acquire().await.unwrap();
        let token = stale.lease().token().unwrap();
        let read = resource.register(token);
        // As an eviction, or the end of the lease during a long pause.
        server.command("DEL test#lock:shared").expect("the server answers");
        let next = fenced(&two).acquire().await.unwrap();
        let next_token = next.lease().token().unwrap();
        let value = resource.register(next_token);
        assert!(resource.write(next_token, value + 1, is_checked));
        stale.lease().check().expect("it does not know yet");
        assert_eq!(resource.write(token, read + 100, is_checked), !is_checked);
        assert_eq!(resource.value == 1, is_checked);
        next.release().await.unwrap();
        assert!(matches!(stale.release().await, Err(keylatch::ReleaseError::NotHeld { .. })));
    }
}

struct Work {
    cache: Keylatch,
}

impl Work {
    #[with_lock(key = "fenced", ttl = "5s", fence, lease = lease, using = self.cache)]
    async fn with(&self) -> Result<Option<FencingToken>, LockError> {
        Ok(lease.token())
    }

    #[with_lock(key = "fenced", ttl = "5s", lease = lease, using = self.cache)]
    async fn without(&self) -> Result<Option<FencingToken>, LockError> {
        Ok(lease.token())
    }
}

#[tokio::test]
async fn by_attribute() {
    let server = RedisServer::start();
    for cache in [keylatch(&server), Keylatch::in_memory()] {
        let work = Work { cache };
        let (one, two) = (work.with().await.unwrap(), work.with().await.unwrap());
        assert!(one.is_some() && one < two, "{one:?} {two:?}");
        assert_eq!(work.without().await.unwrap(), None);
    }
}
