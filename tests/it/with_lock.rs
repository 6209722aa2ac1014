//! `#[with_lock]`: one test an option, on the embedded store and in paused time.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keylatch::{Keylatch, LockError, with_lock};
use tokio::time::Instant;

struct Work {
    cache: Keylatch,
    steps: AtomicU32,
}

impl Work {
    fn new() -> Self {
        Self { cache: Keylatch::in_memory(), steps: AtomicU32::new(0) }
    }

    async fn steps(&self, count: u32) {
        for _ in 0..count {
            tokio::time::sleep(Duration::from_secs(1)).await;
            self.steps.fetch_add(1, Ordering::SeqCst);
        }
    }

    #[with_lock(key = "work", ttl = "10s", using = self.cache)]
    async fn extended(&self, count: u32) -> Result<(), LockError> {
        self.steps(count).await;
        Ok(())
    }

    #[with_lock(key = "work", ttl = "10s", extend = off, using = self.cache)]
    async fn not_extended(&self, count: u32) -> Result<(), LockError> {
        self.steps(count).await;
        Ok(())
    }

    #[with_lock(key = "work", ttl = "10s", max_hold = "25s", using = self.cache)]
    async fn limited(&self, count: u32) -> Result<(), LockError> {
        self.steps(count).await;
        Ok(())
    }

    #[with_lock(key = "work", ttl = "10s", extend = off, on_lost = continue, lease = lease, using = self.cache)]
    async fn goes_on(&self, count: u32) -> Result<Result<(), LockError>, LockError> {
        self.steps(count).await;
        Ok(lease.check())
    }

    #[with_lock(key = "work", ttl = "10s", wait = "3s", using = self.cache)]
    async fn waits(&self) -> Result<(), LockError> {
        Ok(())
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_lasts_as_long_as_its_body() {
    let work = Work::new();
    work.extended(60).await.unwrap();
    assert_eq!(work.steps.load(Ordering::SeqCst), 60);
}

#[tokio::test(start_paused = true)]
async fn a_lock_that_is_not_extended_is_lost() {
    let work = Work::new();
    work.not_extended(9).await.unwrap();
    let began = Instant::now();
    let lost = work.not_extended(60).await.unwrap_err();
    assert!(matches!(lost, LockError::Lost { .. }), "{lost}");
    // 1 % and 2 ms before anybody else can have it.
    assert_eq!(began.elapsed(), Duration::from_millis(9_898));
    assert_eq!(work.steps.load(Ordering::SeqCst), 9 + 9);
}

#[tokio::test(start_paused = true)]
async fn a_lock_is_not_held_beyond_its_limit() {
    let work = Work::new();
    work.limited(24).await.unwrap();
    let began = Instant::now();
    assert!(matches!(work.limited(60).await, Err(LockError::Lost { .. })));
    assert_eq!(began.elapsed().as_secs(), 25);
}

#[tokio::test(start_paused = true)]
async fn a_body_may_go_on_without_its_lock() {
    let work = Work::new();
    assert!(work.goes_on(5).await.unwrap().is_ok());
    assert!(matches!(work.goes_on(15).await.unwrap(), Err(LockError::Lost { .. })));
    assert_eq!(work.steps.load(Ordering::SeqCst), 20, "it was not stopped");
}

#[tokio::test(start_paused = true)]
async fn a_wait_ends() {
    let work = Work::new();
    let began = Instant::now();
    let (held, refused) = tokio::join!(work.extended(10), work.waits());
    held.unwrap();
    assert!(matches!(refused, Err(LockError::Timeout { .. })), "{refused:?}");
    assert_eq!(began.elapsed().as_secs(), 10);
    work.waits().await.unwrap();
}

/// Between the grant and the body, the process may stand still.
#[tokio::test]
async fn a_lock_that_has_ended_before_its_body_begins_is_none() {
    const TTL: Duration = Duration::from_millis(100);
    let cache = Keylatch::in_memory();
    // Has its turn on the only thread when whoever takes the lock lets its driver look at it.
    tokio::spawn(async { std::thread::sleep(3 * TTL) });
    let entered = AtomicU32::new(0);
    let body = async |_lease| entered.fetch_add(1, Ordering::SeqCst);
    let error = cache.lock("work").ttl(TTL).run(body).await.expect_err("it has ended");
    assert!(matches!(error, LockError::Unknown { .. }) && !error.body_ran(), "{error}");
    assert_eq!(entered.load(Ordering::SeqCst), 0);
    assert_eq!(cache.lock("work").ttl(TTL).run(body).await.unwrap(), 0);
}
