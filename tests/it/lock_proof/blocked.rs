//! R20: a body that blocks its thread, or all threads of the runtime, for twice the life of its lock.

use std::time::{Duration, Instant};

use keylatch::{Keylatch, LockError};
use tokio::runtime::Builder;

use crate::support::{RedisServer, keylatch};

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

#[test]
fn a_body_that_blocks_all_threads_can_see_that_its_lock_is_lost() {
    let server = RedisServer::start();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = keylatch(&server);
        let barrier = std::sync::Arc::new(std::sync::Barrier::new(2));
        let bodies = [0, 1].map(|index| {
            let (cache, barrier) = (cache.clone(), std::sync::Arc::clone(&barrier));
            tokio::spawn(async move {
                let lock = cache.lock(keylatch::Key::of("blocked").part(&index)).ttl(TTL).on_lost_continue();
                let said = lock.run(async |lease| {
                    // Both workers are in a body from here on.
                    barrier.wait();
                    busy(TTL * 2);
                    lease.check()
                });
                said.await.expect("it was had")
            })
        });
        for body in bodies {
            assert!(matches!(body.await.unwrap(), Err(LockError::Lost { .. })));
        }
    });
}

/// Extended beside the body: one that blocks its own thread alone keeps its lock.
#[test]
fn a_body_that_blocks_one_of_two_threads_keeps_its_lock() {
    let server = RedisServer::start();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let cache = keylatch(&server);
        tokio::spawn(async move {
            // Others are at work, as in a service, so that the other thread does not sleep.
            let pulse = tokio::spawn(async {
                loop {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            });
            assert!(blocks(&cache).await.is_ok());
            pulse.abort();
        })
        .await
        .unwrap();
    });
}
