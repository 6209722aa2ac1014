//! The claim beside a slot: one process of all renews an entry. A courtesy to the source, not what keeps stale values out:
//! that is the fill over what the loader saw, so a claim may be lost at any time.

use std::future::Future;
use std::pin::pin;

use super::super::plan::Plan;
use crate::error::Result;
use crate::key::{Key, refresh_of};
use crate::lock::{Acquire, Answer, Extend, LockMaster, LockValue, Owned, Queue};
use crate::{Keylatch, clock};

/// See the module. Dropping it gives it back.
#[derive(Debug)]
pub(super) struct Claim {
    home: Keylatch,
    key: Key,
    value: LockValue,
    /// Whether the master may hold it.
    held: bool,
}

impl Claim {
    /// `None`: another process renews the entry.
    pub(super) async fn take(plan: &Plan) -> Result<Option<Self>> {
        let home = plan.home.clone();
        let held = home.rules().claim_refreshes;
        // From here on a drop gives it back: a claim that nobody has answered yet may have been carried out.
        let mut claim = Self { home, key: refresh_of(&plan.key), value: LockValue::new(), held };
        if !held {
            return Ok(Some(claim));
        }
        let taken = {
            let ttl = claim.home.lease_life();
            let (lock, queue) = (claim.owned(), Queue::Leave);
            let request = Acquire { lock, ttl, mint: None, queue, instead_of: None };
            let acquired = pin!(claim.home.lock_master().acquire(&request));
            let answer = plan.home.in_time(plan.options.timeout, "claim the renewal", acquired).await?;
            matches!(answer, Answer::Granted { .. })
        };
        claim.held = taken;
        Ok(taken.then_some(claim))
    }

    fn owned(&self) -> Owned<'_> {
        Owned { key: &self.key, value: self.value }
    }

    /// Prolongs it; never completes.
    async fn keep(&self) {
        let life = self.home.lease_life();
        if self.held {
            loop {
                clock::sleep(life / 3).await;
                let extend = [Extend { lock: self.owned(), ttl: life }];
                let extended = self.home.lock_master().extend(&extend).await.pop();
                if matches!(extended, Some(Ok(None))) {
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        // Without a runtime it expires by itself.
        if let (true, Ok(runtime)) = (self.held, tokio::runtime::Handle::try_current()) {
            let (home, key, value) = (self.home.clone(), self.key.clone(), self.value);
            runtime.spawn(async move {
                let _ = home.lock_master().release(Owned { key: &key, value }).await;
            });
        }
    }
}

/// Runs a load while its claim, if there is one, is kept.
pub(super) async fn kept<F: Future>(claim: Option<&Claim>, load: F) -> F::Output {
    let keep = async {
        match claim {
            Some(claim) => claim.keep().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        biased;
        output = load => output,
        () = keep => unreachable!("keeping a claim never completes"),
    }
}
