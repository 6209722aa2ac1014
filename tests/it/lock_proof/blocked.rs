//! R20: a body that blocks its thread, or all threads of the runtime, for twice the life of its lock.

use std::time::{Duration, Instant};

use keylatch::{Keylatch, LockError};
use tokio::runtime::Builder;

use crate::support::{RedisServer, builder, keylatch};

const TTL: Duration = Duration::from_millis(300);

/// Computes without an await.
fn busy(length: Duration) {
    let until = Instant::now() + length;
    while Instant::now() < until {
        std::hint::spin_loop();
    }
}

/// What the lease says right after the body has blocked for twice the lock's life, as long as nobody was told of it.
async fn blocks(cache: &Keylatch) -> Result<(), LockError> {
    let lock = cache.lock("blocked").ttl(TTL).on_lost_continue();
    let said = lock.run(async |lease| {
        busy(TTL * 2);
        lease.check()
    });
    said.await.expect("it was had")
}

#[test]
fn a_body_that_blocks_the_only_thread_can_see_that_its_lock_is_lost() {
    let server = RedisServer::start();
    Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
        let cache = keylatch(&server);
        assert!(matches!(blocks(&cache).await, Err(LockError::Lost { .. })));
        // The next one is not disturbed.
        cache.lock("blocked").wait(TTL * 4).run(async |_lease| ()).await.unwrap();
    });
}

/// From outside of the runtime, so that each of its threads takes one of what blocks them.
#[test]
fn a_holder_can_see_that_its_lock_was_lost_while_all_threads_were_blocked() {
    let server = RedisServer::start();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cache = runtime.block_on(async { keylatch(&server) });
    let guard = runtime.block_on(cache.lock("blocked").ttl(TTL).acquire()).unwrap();
    guard.lease().check().expect("it was just had");
    let blocking: Vec<_> = (0..2).map(|_| runtime.spawn(async { busy(TTL * 3) })).collect();
    std::thread::sleep(TTL * 2);
    assert!(matches!(guard.lease().check(), Err(LockError::Lost { .. })), "nobody could extend it");
    for blocked in blocking {
        runtime.block_on(blocked).unwrap();
    }
    assert!(matches!(guard.lease().check(), Err(LockError::Lost { .. })), "lost is lost");
}

/// With a thread that extends locks, nothing that blocks the runtime costs a lock.
#[test]
fn a_thread_of_its_own_keeps_locks_while_all_threads_are_blocked() {
    let server = RedisServer::start();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let cache = runtime.block_on(async { builder(&server).lock_thread().build().unwrap() });
    let guard = runtime.block_on(cache.lock("blocked").ttl(TTL).acquire()).unwrap();
    let blocking: Vec<_> = (0..2).map(|_| runtime.spawn(async { busy(TTL * 3) })).collect();
    for blocked in blocking {
        runtime.block_on(blocked).unwrap();
    }
    guard.lease().check().expect("it was extended");
    runtime.block_on(guard.release()).unwrap();
}
