//! What may have been taken: from before the first byte is sent until the lock is known to be free.

use super::LockError;
use super::acquire::{LONGEST_PAUSE, pauses};
use super::held::Registered;
use super::lease::{Lease, Validity};
use super::options::LockBuilder;
use crate::clock::{self, Instant};
use crate::random;
use crate::store::{Guarded, Store};
use crate::telemetry;

/// One acquisition. Dropping it gives the lock back in a task of its own, whether or not the server ever took it.
#[derive(Debug)]
pub(super) struct Claim {
    pub(super) options: LockBuilder,
    token: [u8; 20],
    pub(super) lease: Lease,
    taken: bool,
    held: Option<Registered>,
}

impl Claim {
    /// `T` and the random part: the token is new for each acquisition, so a late answer is never taken for another's.
    pub(super) fn new(options: LockBuilder) -> Self {
        Self {
            token: random::bytes(),
            lease: Lease::new(options.key.clone()),
            options,
            taken: false,
            held: None,
        }
    }

    /// Sends the request once.
    pub(super) async fn attempt(&mut self, wake: Option<&crate::store::Wake>) -> crate::Result<Guarded> {
        // Counted from before the first byte leaves: the server cannot have begun earlier.
        let sent = clock::now();
        self.taken = true;
        let answer =
            self.options.home.store().lock(&self.options.key, &self.token, self.options.ttl, wake).await?;
        match answer {
            Guarded::Applied => {
                self.held = Some(Registered::new(&self.options.home, &self.lease));
                self.valid_from(sent);
            }
            Guarded::Refused => self.taken = false,
        }
        Ok(answer)
    }

    /// Extends the lock; the lease follows.
    pub(super) async fn extend(&self) -> crate::Result<Guarded> {
        let sent = clock::now();
        let answer =
            self.options.home.store().extend_lock(&self.options.key, &self.token, self.options.ttl).await?;
        match answer {
            Guarded::Applied => self.valid_from(sent),
            Guarded::Refused => self.lease.set(Validity::Lost),
        }
        Ok(answer)
    }

    fn valid_from(&self, sent: Instant) {
        self.lease.set(Validity::Until(sent + self.options.validity()));
    }

    /// Frees the lock.
    ///
    /// # Errors
    /// [`LockError::Lost`] if somebody else may have had it meanwhile; [`LockError::Unknown`] if the server did not answer.
    pub(super) async fn release(mut self) -> Result<(), LockError> {
        let freed = self.options.home.store().unlock(&self.options.key, &self.token).await;
        let key = self.options.key.clone();
        match freed {
            Ok(freed) => {
                self.taken = false;
                self.lease.set(Validity::Lost);
                if freed == Guarded::Applied { Ok(()) } else { Err(LockError::Lost { key }) }
            }
            Err(source) => Err(LockError::Unknown { key, source }),
        }
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.lease.set(Validity::Lost);
        if !self.taken {
            return;
        }
        // Without a runtime nothing can be sent any more: the lock expires by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let (home, key, token) = (self.options.home.clone(), self.options.key.clone(), self.token);
        let expires = clock::now() + self.options.ttl;
        let held = self.held.take();
        runtime.spawn(async move {
            // A shutdown waits for it.
            let _held = held;
            let mut pauses = pauses();
            // While the server is down, it is tried again; after the lock's life there is nothing to free any more.
            while let Err(error) = home.store().unlock(&key, &token).await {
                let pause = pauses.next().unwrap_or(LONGEST_PAUSE);
                if clock::now() + pause >= expires {
                    return telemetry::unlock_failed(&key, &error);
                }
                clock::sleep(pause).await;
            }
        });
    }
}
