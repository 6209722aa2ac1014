//! An orderly end: nothing new, what is under way ends, locks are given back, invalidations are sent.

use std::fmt;
use std::time::Duration;

use super::Keylatch;
use crate::clock;
use crate::key::Key;

/// What a [shutdown](Keylatch::shutdown) could not do in its time.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Leftovers {
    /// Loads of cached functions that had not ended. What they return is not stored.
    pub loads: usize,
    /// Locks that were not given back. They end by themselves with their `ttl`.
    pub locks: Vec<Key>,
    /// Invalidations that the server was not told. Entries stay as they are until their `ttl`.
    pub invalidations: usize,
    /// Commands that had not been answered. They may or may not have run.
    pub commands: u64,
}

/// How often it is looked whether what is waited for has ended.
const LOOK_EVERY: Duration = Duration::from_millis(2);
/// How often it is tried to tell the server the invalidations that wait.
const REPEAT_EVERY: Duration = Duration::from_millis(20);

impl Leftovers {
    /// Whether nothing was left.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl fmt::Display for Leftovers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("nothing is left");
        }
        let Self { loads, locks, invalidations, commands } = self;
        write!(
            f,
            "left: {loads} loads, {} locks, {invalidations} invalidations, {commands} commands",
            locks.len()
        )
    }
}

impl Keylatch {
    /// Ends this instance in order, within `limit`: from now on cached functions run their bodies and locks are refused; loads
    /// and bodies under locks that are under way may end during the first half of the time; then locks are given back,
    /// which stops those bodies at their next await; invalidations that wait are sent; commands under way are waited for.
    ///
    /// Returns what could not be done. All clones of this instance end with it. A second call waits for the rest.
    ///
    /// # Cancel safety
    /// Dropped, it has refused new work and may have done any of the rest; call it again to go on.
    pub async fn shutdown(&self, limit: Duration) -> Leftovers {
        let began = clock::now();
        self.close();
        let loads = || self.flights().count() + self.attempts().count();
        let idle = || loads() == 0 && self.renewals().keys().is_empty();
        until(limit / 2, idle).await;
        self.renewals().give_up_all();
        let left = || limit.saturating_sub(clock::now() - began);
        until(left() / 2, || self.renewals().keys().is_empty()).await;
        let repeat = async {
            // The server may come back meanwhile. What is still kept in the end is counted below.
            while !self.kept().is_empty() && self.kept().repeat(self.store()).await.is_err() {
                clock::sleep(REPEAT_EVERY).await;
            }
        };
        let _in_time = clock::within(left() / 2, repeat).await;
        let mut commands = 0;
        for connection in self.store().connection().into_iter().chain(self.lock_masters()) {
            commands += connection.close(left()).await;
        }
        Leftovers {
            loads: loads(),
            locks: self.renewals().keys(),
            invalidations: self.kept().count(),
            commands,
        }
    }
}

async fn until(limit: Duration, done: impl Fn() -> bool) {
    let deadline = clock::now() + limit;
    while !done() && clock::now() < deadline {
        clock::sleep(LOOK_EVERY).await;
    }
}
