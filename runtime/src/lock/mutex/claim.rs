//! What may have been taken: from before the first byte is sent until the lock is known to be free.

use super::acquire::{LONGEST_PAUSE, pauses};
use crate::clock::{self, Moment};
use crate::lock::LockError;
use crate::lock::lease::Lease;
use crate::lock::master::{Acquire, Answer, Counter, Extend, Freed, LockMaster, Mint, Owned, Queue};
use crate::lock::options::LockBuilder;
use crate::lock::renewal::Registered;
use crate::lock::value::LockValue;
use crate::telemetry;

/// One acquisition. Dropping it gives the lock back in a task of its own, whether or not the server ever took it.
#[derive(Debug)]
pub(in crate::lock) struct Claim {
    pub(in crate::lock) options: LockBuilder,
    value: LockValue,
    pub(in crate::lock) lease: Lease,
    taken: bool,
    held: Option<Registered>,
}

impl Claim {
    pub(super) fn new(options: LockBuilder) -> Self {
        Self {
            value: LockValue::new(),
            lease: Lease::new(options.key.clone()),
            options,
            taken: false,
            held: None,
        }
    }

    /// Sends the request once.
    pub(super) async fn attempt(&mut self) -> crate::Result<Answer> {
        // Counted from before the first byte leaves: the server cannot have begun earlier.
        let sent = clock::moment();
        self.taken = true;
        let home = &self.options.home;
        let proposal = || Mint { proposal: home.proposals().next(), count: 1, counter: Counter::Namespace };
        let request = Acquire {
            lock: self.owned(),
            ttl: self.options.ttl,
            mint: self.options.fence.then(proposal),
            queue: Queue::Leave,
        };
        let answer = home.lock_master().acquire(&request).await?;
        let Answer::Granted { token } = answer else {
            self.taken = false;
            return Ok(answer);
        };
        if let Some(token) = token {
            home.proposals().saw(token);
            self.lease.fence(token);
        }
        self.held = Some(Registered::new(home, &self.lease));
        self.valid_from(sent);
        Ok(answer)
    }

    fn owned(&self) -> Owned<'_> {
        Owned { key: &self.options.key, value: self.value }
    }

    /// Extends the lock; the lease follows. Whether it was still ours.
    pub(in crate::lock) async fn extend(&self) -> crate::Result<bool> {
        let sent = clock::moment();
        let extend = [Extend { lock: self.owned(), ttl: self.options.ttl }];
        let extended = self.options.home.lock_master().extend(&extend).await.pop();
        match extended {
            Some(Ok(Some(_))) => self.valid_from(sent),
            Some(Ok(None)) | None => self.lease.lose(),
            Some(Err(error)) => return Err(error),
        }
        Ok(!self.lease.is_lost())
    }

    fn valid_from(&self, sent: Moment) {
        self.lease.extend(sent + self.options.validity());
    }

    /// Frees the lock.
    ///
    /// # Errors
    /// [`LockError::Lost`] if somebody else may have had it meanwhile; [`LockError::Unknown`] if the server did not answer.
    pub(super) async fn release(mut self) -> Result<(), LockError> {
        let freed = self.options.home.lock_master().release(self.owned()).await;
        let key = self.options.key.clone();
        match freed {
            Ok(freed) => {
                self.taken = false;
                self.lease.lose();
                if freed == Freed::NotHeld { Err(LockError::Lost { key }) } else { Ok(()) }
            }
            Err(source) => Err(LockError::Unknown { key, source }),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.lease.lose();
        if !self.taken {
            return;
        }
        // Without a runtime nothing can be sent any more: the lock expires by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (home, key, value) = (self.options.home.clone(), self.options.key.clone(), self.value);
        let expires = clock::now() + self.options.ttl;
        let held = self.held.take();
        runtime.spawn(async move {
            // A shutdown waits for it.
            let _held = held;
            let mut pauses = pauses();
            // While the server is down, it is tried again; after the lock's life there is nothing to free any more.
            while let Err(error) = home.lock_master().release(Owned { key: &key, value }).await {
                let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                if clock::now() + pause >= expires {
                    return telemetry::unlock_failed(&key, &error);
                }
                clock::sleep(pause).await;
            }
        });
    }
}
