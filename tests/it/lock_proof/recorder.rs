//! Writes down what was asked of a lock and what came of it, for the checker.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use fastrand::Rng;
use keylatch::{LockBuilder, LockError, ReleaseError};

use crate::lock_history::{Acquired, Answer, History, Operation, What, check};

/// What several tasks of this process did with one lock.
#[derive(Debug)]
pub(crate) struct Recorder {
    began: Instant,
    operations: Mutex<Vec<Operation>>,
}

/// How often something was had, refused, and answered without a proof.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Tally {
    pub(crate) had: usize,
    pub(crate) lost: usize,
    pub(crate) refused: usize,
    pub(crate) unknown: usize,
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { began: Instant::now(), operations: Mutex::default() }
    }

    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_nanos()).expect("no test runs for centuries")
    }

    fn add(&self, holder: &str, (invoked, returned): (u64, u64), what: What) {
        let mut operations = self.operations.lock().unwrap_or_else(PoisonError::into_inner);
        operations.push(Operation { holder: holder.to_owned(), invoked, returned, what });
    }

    /// Takes the lock, which must be fenced, looks at it so many times with pauses, and releases it. `holder` is a new name.
    pub(crate) async fn visit(&self, holder: &str, lock: LockBuilder, looks: u32, pause: Duration) {
        let invoked = self.now();
        let acquired = lock.acquire().await;
        let called = (invoked, self.now());
        let guard = match acquired {
            Ok(guard) => guard,
            Err(LockError::Busy { .. } | LockError::Timeout { .. }) => {
                return self.add(holder, called, What::Acquire(Acquired::Refused));
            }
            Err(_) => return self.add(holder, called, What::Acquire(Acquired::Unknown)),
        };
        let token = guard.lease().token().expect("the lock is fenced");
        self.add(holder, called, What::Acquire(Acquired::Token(token.get())));
        let mut relied = called.1;
        for _ in 0..looks {
            // Taken before the look, so that it says no more than the look does.
            let now = self.now();
            if guard.lease().check().is_err() {
                break;
            }
            relied = now;
            self.add(holder, (now, now), What::Rely);
            tokio::time::sleep(pause).await;
        }
        // A lock that was lost meanwhile is given back at once: at any moment since it was last relied on.
        let answer = match guard.release().await {
            Ok(()) => Answer::Yes,
            Err(ReleaseError::NotHeld { .. }) => Answer::No,
            Err(_) => Answer::Unknown,
        };
        self.add(holder, (relied, self.now()), What::Release(answer));
    }

    /// One visit after the other until then, each of another holder: `next` says which lock, how many looks and what pauses.
    pub(crate) async fn visits(
        &self,
        name: &str,
        ends: Instant,
        mut rng: Rng,
        next: impl Fn(&mut Rng) -> (LockBuilder, u32, Duration),
    ) {
        for round in 0.. {
            if Instant::now() >= ends {
                break;
            }
            let (lock, looks, pause) = next(&mut rng);
            self.visit(&format!("{name}-{round}"), lock, looks, pause).await;
            tokio::time::sleep(Duration::from_millis(rng.u64(0..10))).await;
        }
    }

    /// What happened, and whether a lock can have done it.
    pub(crate) fn judge(self) -> (Tally, Result<(), String>) {
        let operations = self.operations.into_inner().unwrap_or_else(PoisonError::into_inner);
        let count = |which: fn(&What) -> bool| operations.iter().filter(|one| which(&one.what)).count();
        let tally = Tally {
            had: count(|what| matches!(what, What::Acquire(Acquired::Token(_)))),
            lost: count(|what| matches!(what, What::Release(Answer::No))),
            refused: count(|what| matches!(what, What::Acquire(Acquired::Refused))),
            unknown: count(|what| {
                matches!(what, What::Acquire(Acquired::Unknown) | What::Release(Answer::Unknown))
            }),
        };
        let verdict = check(&History(operations));
        (tally, verdict.map_err(|(fault, who)| format!("{fault:?}: {who}")))
    }
}
