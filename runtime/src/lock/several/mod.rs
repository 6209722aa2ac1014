//! Several locks at once: all of them, or none.
//!
//! First all in one request ([`together`]), where one master can do that: it takes them only if every one is free and nobody
//! waits for any. Otherwise one after the other, in an order that is the same for everybody, so that no circle of waiting can
//! close; each then has its turn in its own queue, so that nobody starves. What is had meanwhile is extended, and all is given
//! back if one cannot be had. The lease is as good as the worst of its parts.

mod together;

use std::time::Duration;

use futures_util::future::{join_all, select_all};

use super::lease::Lease;
use super::mutex::{self, Claim};
use super::options::LockBuilder;
use super::{LockError, ReleaseError};
use crate::clock;
use crate::connection::slot_of;
use crate::key::Key;

/// All of the locks that were asked for. Dropping it gives them back.
#[derive(Debug)]
pub(super) struct Several {
    pub(super) lease: Lease,
    parts: Vec<Claim>,
}

/// The keys in the order in which everybody takes them, each once: by slot of a cluster, then by name.
pub(super) fn in_order(keys: impl IntoIterator<Item = Key>) -> Vec<Key> {
    let mut keys: Vec<Key> = keys.into_iter().collect();
    keys.sort_by(|one, other| {
        let place = |key: &Key| slot_of(key.as_bytes());
        place(one).cmp(&place(other)).then_with(|| one.as_bytes().cmp(other.as_bytes()))
    });
    keys.dedup();
    keys
}

/// Takes all of them, or says why not. A dropped wait leaves nothing behind.
pub(super) async fn acquire(options: LockBuilder) -> Result<Several, LockError> {
    let began = clock::now();
    let left = |options: &LockBuilder| options.wait.saturating_sub(clock::now() - began);
    match together::attempt(&options).await? {
        together::Outcome::Granted(parts) => return Ok(Several::new(parts)),
        together::Outcome::Held(key) if options.wait.is_zero() => return Err(LockError::Busy { key }),
        together::Outcome::Held(_) | together::Outcome::Apart => {}
    }
    loop {
        if let Some(parts) = one_after_the_other(&options, &left).await? {
            return Ok(Several::new(parts));
        }
        // What was had of them was lost while others were waited for: anew, as long as there is time.
        if left(&options).is_zero() {
            let waited = clock::now() - began;
            return Err(LockError::Timeout { key: options.key, waited });
        }
    }
}

/// Nothing if a part was lost meanwhile.
async fn one_after_the_other(
    options: &LockBuilder,
    left: &impl Fn(&LockBuilder) -> Duration,
) -> Result<Option<Vec<Claim>>, LockError> {
    let mut parts: Vec<Claim> = Vec::with_capacity(1 + options.others.len());
    for key in options.keys() {
        let next = mutex::acquire(LockBuilder { wait: left(options), ..options.part(key) });
        let claim = tokio::select! {
            claim = next => claim?,
            () = any_lost(&parts) => return Ok(None),
        };
        parts.push(claim);
    }
    Ok(Some(parts))
}

/// Completes when one of them is lost; never without any.
async fn any_lost(parts: &[Claim]) {
    if parts.is_empty() {
        return std::future::pending().await;
    }
    select_all(parts.iter().map(|part| Box::pin(part.lease.lost()))).await;
}

impl Several {
    fn new(parts: Vec<Claim>) -> Self {
        let lease = Lease::over(parts.iter().map(|part| part.lease.clone()).collect());
        Self { lease, parts }
    }

    /// Frees all of them.
    ///
    /// # Errors
    /// The first failure; what failed is released in the background, or expires.
    pub(super) async fn release(self) -> Result<(), ReleaseError> {
        let Self { parts, lease } = self;
        let _could_be_relied_on = lease.lose();
        let released: Vec<_> = join_all(parts.into_iter().map(Claim::release)).await;
        released.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everybody_has_the_same_order() {
        let keys = ["b", "a", "d", "c", "a"].map(Key::of);
        let mut reversed = keys.clone();
        reversed.reverse();
        let order = in_order(keys);
        assert_eq!(order.len(), 4);
        assert_eq!(order, in_order(reversed));
        let slots: Vec<u16> = order.iter().map(|key| slot_of(key.as_bytes())).collect();
        assert!(slots.is_sorted());
    }
}
