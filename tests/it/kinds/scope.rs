//! Locks that are passed down: a callee that needs its caller's lock uses it, and nothing else passes for it.

use std::time::Duration;

use keylatch::{Keylatch, Lease, LockError, LockGuard, with_lock};

use super::places;
use crate::support::RedisServer;

struct Account {
    cache: Keylatch,
}

impl Account {
    #[with_lock(key = "account:{id}", ttl = "5s", wait = "0s", lease = mine, within = outer, using = self.cache)]
    async fn deposit(&self, id: u64, outer: Option<&Lease>) -> Result<Lease, LockError> {
        tokio::task::yield_now().await;
        mine.check()?;
        Ok(mine)
    }

    /// Two of them are needed, and the callees need one each.
    #[with_lock(keys = ["account:{from}", "account:{to}"], ttl = "5s", lease = both, using = self.cache)]
    async fn transfer(&self, from: u64, to: u64) -> Result<(), LockError> {
        self.deposit(from, Some(&both)).await?;
        self.deposit(to, Some(&both)).await?;
        both.check()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_uses_the_lock_of_its_caller() {
    let server = RedisServer::start();
    for (cache, _) in places(&server) {
        let account = Account { cache: cache.clone() };
        account.deposit(1, None).await.unwrap();
        account.transfer(1, 2).await.unwrap();
        let guard = cache.lock(keylatch::Key::of("account").part(&1_u64)).acquire().await.unwrap();
        // Not passed down, it is somebody else's, whichever task asks.
        assert!(matches!(account.deposit(1, None).await, Err(LockError::Busy { .. })));
        let lease = account.deposit(1, Some(guard.lease())).await.unwrap();
        assert_eq!(lease.key(), guard.lease().key());
        guard.lease().check().expect("the callee has not released it");
        assert!(matches!(account.deposit(1, None).await, Err(LockError::Busy { .. })), "nor anybody else");
        guard.release().await.unwrap();
    }
}

fn fault_of<T: std::fmt::Debug>(outcome: Result<T, LockError>) -> &'static str {
    match outcome {
        Err(error @ LockError::NotCovered { fault, .. }) => {
            assert!(!error.body_ran());
            fault
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_else_passes_for_it() {
    let server = RedisServer::start();
    for (cache, _) in places(&server) {
        let inner = |outer: &LockGuard| cache.lock("a").within(outer).run(async |_lease| ());
        let other = cache.lock("b").acquire().await.unwrap();
        assert_eq!(fault_of(inner(&other).await), "it is another lock");
        let shared = cache.lock_shared("a").acquire().await.unwrap();
        assert_eq!(fault_of(inner(&shared).await), "it is shared, and is needed alone");
        cache.lock_shared("a").within(&shared).run(async |_lease| ()).await.unwrap();
        shared.release().await.unwrap();
        let same = cache.lock("a").acquire().await.unwrap();
        cache.lock_shared("a").within(&same).run(async |_lease| ()).await.unwrap();
        let both = cache.lock_all(["a", "b"]).within(&same).run(async |_lease| ()).await;
        assert_eq!(fault_of(both), "it is another lock");
        let fenced = cache.lock("a").fence().within(&same).run(async |_lease| ()).await;
        assert_eq!(fault_of(fenced), "it has no fencing token");
        let elsewhere = Keylatch::in_memory().lock("a").within(&same).run(async |_lease| ()).await;
        assert_eq!(fault_of(elsewhere), "it is of another `Keylatch`");
        let lease = same.lease().clone();
        same.release().await.unwrap();
        let late = cache.lock("a").within(&lease).run(async |_lease| ()).await;
        assert_eq!(fault_of(late), "it has been lost or released");
        // A permit is not the lock of that name.
        let permit = cache.semaphore("a", 1).acquire().await.unwrap();
        assert_eq!(fault_of(inner(&permit).await), "it is another lock");
        cache.semaphore("a", 1).within(&permit).run(async |_lease| ()).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_callee_is_stopped_when_its_callers_lock_is_lost() {
    let server = RedisServer::start();
    for (cache, _) in places(&server) {
        let outer = cache.lock("a").ttl(Duration::from_millis(150)).extend_off().acquire().await.unwrap();
        let never = async |_lease| std::future::pending::<()>().await;
        let lost = cache.lock("a").within(&outer).run(never).await;
        assert!(matches!(lost, Err(LockError::Lost { .. })), "{lost:?}");
        // A guard made from it releases nothing that is not its own.
        let outer = cache.lock("a").acquire().await.unwrap();
        let inner = cache.lock("a").within(&outer).acquire().await.unwrap();
        inner.release().await.unwrap();
        outer.lease().check().unwrap();
        assert!(cache.lock("a").wait(Duration::ZERO).acquire().await.is_err());
        outer.release().await.unwrap();
    }
}
