//! Stores: where slots and stamps live, behind one trait with one conformance suite.

mod any;
#[cfg(any(test, feature = "test-util"))]
mod conformance;
mod glance;
mod many;
mod memory;
mod redis;
mod shelter;
mod slot;
mod unusable;
mod wake;

pub(crate) use any::{AnyStore, Primary};
#[cfg(feature = "test-util")]
pub(crate) use conformance::conforms;
pub(crate) use glance::{Glance, Seen};
pub(crate) use many::{Held, ManyClaimed, ManyClaims, Replacement, SlotClaim};
pub(crate) use memory::MemoryStore;
pub(crate) use redis::RedisStore;
pub(crate) use shelter::ShelteredStore;
pub(crate) use slot::{Lease, MARK_LIFE, Slot, Stamp, StampState, new_hold};
pub(crate) use unusable::UnusableStore;
pub(crate) use wake::{Wake, Wakeups};

use std::future::Future;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use crate::error::Result;
use crate::invalidation::Report;
use crate::key::{FullPattern, Key};
use crate::local::Local;

/// Values read in one go, in the order of the keys.
pub(crate) type Values = SmallVec<[Option<Bytes>; 4]>;
/// States of stamps, in the order of the keys.
pub(crate) type StampStates = SmallVec<[StampState; 4]>;

/// What a read came to.
#[derive(Debug)]
pub(crate) struct Reading {
    pub(crate) values: Values,
    /// Over what the answer came, if it was one answer. After [`Freshness::Watched`], the store tells of every change of the
    /// keys from this read on, over the same way and in the same order; there is none where it cannot.
    pub(crate) via: Option<Via>,
    /// What is left of the first key's life, where the store says so with the value.
    pub(crate) left: Option<Duration>,
}

/// One way by which answers and news of changes come, in one order: a connection. Two that differ have no order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Via(NonZeroU64);

impl Via {
    /// The embedded store of this process.
    pub(crate) const EMBEDDED: Self = Self(NonZeroU64::MAX);
    /// Several connections, as to the nodes of a cluster: news of changes come, in no order with the answers.
    pub(crate) const SEVERAL: Self = Self(NonZeroU64::MIN);

    /// One that no other connection of this process has.
    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(2);
        Self(NonZeroU64::new(NEXT.fetch_add(1, Ordering::Relaxed)).unwrap_or(NonZeroU64::MIN))
    }

    /// Whether what was told over the other before this answer was sent has been told by now.
    pub(crate) fn is_in_order_with(self, other: Self) -> bool {
        self == other && self != Self::SEVERAL
    }
}

/// How old what is read may be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// As old as a replica may lag, where there are replicas.
    MayLag,
    /// As the primary has it.
    Current,
    /// The same, and the store is asked to tell of changes of every key from this read on.
    Watched,
}

/// Whether a conditional change was made. A refusal is an answer, not a failure: somebody else changed the key first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(crate) enum Guarded {
    Applied,
    Refused,
}

/// Whether a key that is held now was held before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overlap {
    First,
    Overlapping,
}

/// What a claim of a slot came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Claim {
    /// The slot holds our lease. The stamps were read before it was taken, or created where they were missing.
    Won(StampStates),
    /// The slot holds something else by now.
    Lost,
}

/// The slot protocol and the stamps of `ARCHITECTURE.md`, one method a step.
///
/// Every future may be dropped at any await; what it was about to do then happened or did not, as after any crash.
pub(crate) trait Store: Send + Sync {
    /// Reads several keys in one go. Each value is one that the key had after the call began, and the first key's is no
    /// older than the others': an outer entry that depends on a stamp must not be made from a value from before it.
    fn read(&self, keys: &[&Key], freshness: Freshness) -> impl Future<Output = Result<Reading>> + Send;

    /// The same, with the first key watched: a change of it after this read wakes `wake`.
    fn read_watched(&self, keys: &[&Key], wake: &Wake) -> impl Future<Output = Result<Values>> + Send;

    /// Whom to tell of every change that the store knows of, and of connections that are lost.
    fn tell(&self, local: Arc<Local>);

    /// Interest in changes of `key`, to be armed by [`read_watched`](Self::read_watched).
    fn wake(&self, key: &Key) -> Wake;

    /// Reads the stamps, creating those that are missing, and **then** puts `lease` into the slot: if it is empty, or if
    /// it still begins with `over`.
    fn claim(&self, claim: ClaimRequest<'_>) -> impl Future<Output = Result<Claim>> + Send;

    /// Reads the stamps, creating those that are missing; each lives for at least `life` more.
    fn capture(&self, stamps: &[&Key], life: Duration) -> impl Future<Output = Result<StampStates>> + Send;

    /// Puts `value` into the slot for `life`, if the slot still begins with `expected`.
    fn replace(
        &self,
        slot: &Key,
        expected: &[u8],
        value: &[u8],
        life: Duration,
    ) -> impl Future<Output = Result<Guarded>> + Send;

    /// Claims several slots as [`claim`](Self::claim) does each, the stamps captured once, before any lease is put.
    fn claim_many(&self, claims: ManyClaims<'_>) -> impl Future<Output = Result<ManyClaimed>> + Send {
        many::claim(self, claims)
    }

    /// Does [`replace`](Self::replace) to several slots; what fails for one says nothing of the others.
    fn replace_many(
        &self,
        replacements: &[Replacement<'_>],
    ) -> impl Future<Output = Vec<Result<Guarded>>> + Send {
        many::replace(self, replacements)
    }

    /// Does [`extend`](Self::extend) to several keys.
    fn extend_many(
        &self,
        held: &[Held<'_>],
        life: Duration,
    ) -> impl Future<Output = Vec<Result<Guarded>>> + Send {
        many::extend(self, held, life)
    }

    /// Does [`release`](Self::release) to several keys.
    fn release_many(&self, held: &[Held<'_>]) -> impl Future<Output = Vec<Result<Guarded>>> + Send {
        many::release(self, held)
    }

    /// Puts `value` into the slot for `life`, whatever it holds, unless that is a hold.
    fn put(&self, slot: &Key, value: &[u8], life: Duration) -> impl Future<Output = Result<Guarded>> + Send;

    /// Lets the key live for `life` from now, if it still holds exactly `expected`.
    fn extend(
        &self,
        key: &Key,
        expected: &[u8],
        life: Duration,
    ) -> impl Future<Output = Result<Guarded>> + Send;

    /// Lets the slot live for `life` from now, if it still begins with `expected` and would end at least `step` earlier.
    fn slide(
        &self,
        slot: &Key,
        expected: &[u8],
        life: Duration,
        step: Duration,
    ) -> impl Future<Output = Result<Guarded>> + Send;

    /// Removes the key, if it still holds exactly `expected`.
    fn release(&self, key: &Key, expected: &[u8]) -> impl Future<Output = Result<Guarded>> + Send;

    /// Removes the keys in their order, except those that are held: nothing is stored under a hold, and it guards a write
    /// under way.
    fn invalidate(&self, keys: &[&Key]) -> impl Future<Output = Result<()>> + Send;

    /// Puts `hold` into the keys for `life`, or for longer where an older hold lasts longer. Tells for each key whether
    /// it was held before.
    fn hold(
        &self,
        keys: &[&Key],
        hold: &[u8],
        life: Duration,
    ) -> impl Future<Output = Result<Vec<Overlap>>> + Send;

    /// Invalidates the entries that match, each before its stamp, and the stamps of such entries; how many were found.
    /// Every matching key that was there when the call began is gone, or was set after it began, when it returns.
    /// Dropped, it goes no further.
    fn invalidate_matching(
        &self,
        pattern: &FullPattern,
        report: &Report<'_>,
    ) -> impl Future<Output = Result<u64>> + Send;

    /// What is left of the key's life.
    fn time_to_live(&self, key: &Key) -> impl Future<Output = Result<Option<Duration>>> + Send;
}

/// See [`Store::claim`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClaimRequest<'a> {
    pub(crate) slot: &'a Key,
    pub(crate) over: Option<&'a [u8]>,
    pub(crate) lease: Lease,
    pub(crate) lease_life: Duration,
    pub(crate) stamps: &'a [&'a Key],
    pub(crate) stamp_life: Duration,
    /// What was read with the slot: where that was sheltered from an outage, the slot is claimed there.
    pub(crate) beside: &'a [&'a Key],
}
