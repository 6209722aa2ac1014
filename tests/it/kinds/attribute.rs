//! R21: however the body of a function under `#[with_lock]` ends, its lock is released exactly once, of every kind.

use std::future::pending;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use keylatch::{KeyPart, Keylatch, LockError, with_lock};

use super::places;
use crate::support::{RedisServer, keylatch, until};

/// How a body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Value,
    Return,
    Question,
    Panic,
    Cancel,
}

#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the body failed")]
    Body,
    #[error(transparent)]
    Lock(#[from] LockError),
}

struct Work {
    cache: Keylatch,
}

async fn body(end: End) -> Result<u32, Failure> {
    tokio::task::yield_now().await;
    match end {
        End::Panic => panic!("on purpose"),
        End::Cancel => pending().await,
        End::Question => Err(Failure::Body),
        End::Value | End::Return => Ok(7),
    }
}

impl Work {
    #[with_lock(key = "work:{key}", ttl = "60s", wait = "0s", using = self.cache)]
    async fn plain<K: KeyPart + Sync>(&self, key: &K, end: End) -> Result<u32, Failure> {
        if end == End::Return {
            return Ok(7);
        }
        let value = body(end).await?;
        Ok(value)
    }

    #[with_lock(key = "work:{key}", ttl = "60s", wait = "0s", exclusive, using = self.cache)]
    async fn exclusive<K: KeyPart + Sync>(&self, key: &K, end: End) -> Result<u32, Failure> {
        if end == End::Return {
            return Ok(7);
        }
        let value = body(end).await?;
        Ok(value)
    }

    #[with_lock(key = "work:{key}", ttl = "60s", wait = "0s", shared, using = self.cache)]
    async fn shared<K: KeyPart + Sync>(&self, key: &K, end: End) -> Result<u32, Failure> {
        if end == End::Return {
            return Ok(7);
        }
        let value = body(end).await?;
        Ok(value)
    }

    #[with_lock(key = "work:{key}", ttl = "60s", wait = "0s", permits = 1, using = self.cache)]
    async fn permit<K: KeyPart + Sync>(&self, key: &K, end: End) -> Result<u32, Failure> {
        if end == End::Return {
            return Ok(7);
        }
        let value = body(end).await?;
        Ok(value)
    }

    #[with_lock(keys = ["work:{key}", "rest"], ttl = "60s", wait = "0s", using = self.cache)]
    async fn several<K: KeyPart + Sync>(&self, key: &K, end: End) -> Result<u32, Failure> {
        if end == End::Return {
            return Ok(7);
        }
        let value = body(end).await?;
        Ok(value)
    }

    async fn of(&self, kind: &str, end: End) -> Result<u32, Failure> {
        match kind {
            "plain" => self.plain(&1_u64, end).await,
            "exclusive" => self.exclusive(&"text", end).await,
            "shared" => self.shared(&(1_u64, 'c'), end).await,
            "permit" => self.permit(&Some(1_u64), end).await,
            "several" => self.several(&1_u64, end).await,
            other => panic!("no kind `{other}`"),
        }
    }

    async fn ends(&self, kind: &str, end: End) {
        let call = AssertUnwindSafe(self.of(kind, end)).catch_unwind();
        let outcome = tokio::time::timeout(Duration::from_millis(40), call).await;
        let as_expected = matches!(
            (end, &outcome),
            (End::Value | End::Return, Ok(Ok(Ok(7))))
                | (End::Question, Ok(Ok(Err(Failure::Body))))
                | (End::Panic, Ok(Err(_)))
                | (End::Cancel, Err(_))
        );
        assert!(as_expected, "{kind}, {end:?}: {outcome:?}");
    }
}

const KINDS: [(&str, u64); 5] =
    [("plain", 1), ("exclusive", 1), ("shared", 1), ("permit", 1), ("several", 2)];
const ENDS: [End; 5] = [End::Value, End::Return, End::Question, End::Panic, End::Cancel];

/// Each script is known to the server by then, so that each request is one call.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn released_exactly_once() {
    let server = RedisServer::start();
    let work = Work { cache: keylatch(&server) };
    for (kind, locks) in KINDS {
        work.ends(kind, End::Value).await;
        for end in ENDS {
            let before = server.calls("evalsha");
            work.ends(kind, end).await;
            until("it is released", || server.key_count() == 0).await;
            // One script takes all of them, or a plain command where it can, and each is released by one.
            let taken = u64::from(!matches!(kind, "plain" | "exclusive"));
            assert_eq!(server.calls("evalsha") - before, taken + locks, "{kind}, {end:?}");
        }
    }
}

/// Whoever comes next is let in at once, and is kept out while the body runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn free_afterwards() {
    let server = RedisServer::start();
    for (cache, _) in places(&server) {
        let work = Work { cache };
        for (kind, _) in KINDS {
            for end in ENDS {
                let mut last = work.of(kind, End::Value).await;
                for _ in 0..200 {
                    if last.is_ok() {
                        break;
                    }
                    // What was dropped is given back in the background.
                    tokio::time::sleep(Duration::from_millis(5)).await;
                    last = work.of(kind, End::Value).await;
                }
                assert_eq!(last.unwrap(), 7, "{kind}, before {end:?}");
                let running = work.ends(kind, end);
                if end == End::Cancel && kind != "shared" {
                    let refused = async {
                        tokio::time::sleep(Duration::from_millis(15)).await;
                        work.of(kind, End::Value).await
                    };
                    let ((), refused) = tokio::join!(running, refused);
                    assert!(matches!(refused, Err(Failure::Lock(LockError::Busy { .. }))), "{refused:?}");
                } else {
                    running.await;
                }
            }
        }
    }
}
