//! The store of a process whose configuration is bad: every operation fails with the reason, so cached functions run their
//! bodies and locks are refused.

use std::sync::Arc;
use std::time::Duration;

use super::{
    Claim, ClaimRequest, Freshness, Guarded, Overlap, Reading, StampStates, Store, Values, Wake, Wakeups,
};
use crate::error::{Error, Result};
use crate::invalidation::Report;
use crate::key::{FullPattern, Key};
use crate::local::Local;

/// See the module.
#[derive(Debug)]
pub(crate) struct UnusableStore {
    reason: Error,
    wakeups: Wakeups,
}

impl UnusableStore {
    pub(crate) fn new(reason: Error) -> Self {
        Self { reason, wakeups: Wakeups::default() }
    }

    /// Why it is.
    pub(crate) fn error(&self) -> &Error {
        &self.reason
    }

    fn refuse<T>(&self) -> Result<T> {
        Err(self.reason.clone())
    }
}

impl Store for UnusableStore {
    async fn read(&self, _keys: &[&Key], _freshness: Freshness) -> Result<Reading> {
        self.refuse()
    }

    async fn read_watched(&self, _keys: &[&Key], _wake: &Wake) -> Result<Values> {
        self.refuse()
    }

    fn tell(&self, _local: Arc<Local>) {}

    fn wake(&self, key: &Key) -> Wake {
        self.wakeups.wake(key)
    }

    async fn claim(&self, _claim: ClaimRequest<'_>) -> Result<Claim> {
        self.refuse()
    }

    async fn capture(&self, _stamps: &[&Key], _life: Duration) -> Result<StampStates> {
        self.refuse()
    }

    async fn replace(
        &self,
        _slot: &Key,
        _expected: &[u8],
        _value: &[u8],
        _life: Duration,
    ) -> Result<Guarded> {
        self.refuse()
    }

    async fn put(&self, _slot: &Key, _value: &[u8], _life: Duration) -> Result<Guarded> {
        self.refuse()
    }

    async fn extend(&self, _key: &Key, _expected: &[u8], _life: Duration) -> Result<Guarded> {
        self.refuse()
    }

    async fn slide(
        &self,
        _slot: &Key,
        _expected: &[u8],
        _life: Duration,
        _step: Duration,
    ) -> Result<Guarded> {
        self.refuse()
    }

    async fn release(&self, _key: &Key, _expected: &[u8]) -> Result<Guarded> {
        self.refuse()
    }

    async fn invalidate(&self, _keys: &[&Key]) -> Result<()> {
        self.refuse()
    }

    async fn hold(&self, _keys: &[&Key], _hold: &[u8], _life: Duration) -> Result<Vec<Overlap>> {
        self.refuse()
    }

    async fn invalidate_matching(&self, _pattern: &FullPattern, _report: &Report<'_>) -> Result<u64> {
        self.refuse()
    }

    async fn time_to_live(&self, _key: &Key) -> Result<Option<Duration>> {
        self.refuse()
    }
}
