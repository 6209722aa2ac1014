//! Several slots in one go: what is asked, and how a store does it that gains nothing by doing it together.

use std::time::Duration;

use super::{Claim, ClaimRequest, Guarded, Lease, StampStates, Store};
use crate::error::Result;
use crate::key::Key;

/// See [`Store::claim_many`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct ManyClaims<'a> {
    pub(crate) slots: &'a [SlotClaim<'a>],
    pub(crate) lease_life: Duration,
    /// The stamps of all of them, each once.
    pub(crate) stamps: &'a [&'a Key],
    pub(crate) stamp_life: Duration,
    /// See [`ClaimRequest::beside`].
    pub(crate) beside: &'a [&'a Key],
}

/// One slot to be claimed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SlotClaim<'a> {
    pub(crate) slot: &'a Key,
    pub(crate) over: Option<&'a [u8]>,
    pub(crate) lease: Lease,
}

/// What came of the claims.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ManyClaimed {
    /// The stamps, as they were before any lease was put.
    pub(crate) stamps: StampStates,
    /// For each slot, whether it holds our lease.
    pub(crate) won: Vec<bool>,
}

/// One value to be put where it is expected.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Replacement<'a> {
    pub(crate) slot: &'a Key,
    pub(crate) expected: &'a [u8],
    pub(crate) value: &'a [u8],
    pub(crate) life: Duration,
}

/// A key, and what it must hold for anything to happen to it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Held<'a> {
    pub(crate) key: &'a Key,
    pub(crate) expected: &'a [u8],
}

pub(super) async fn claim<S: Store + ?Sized>(store: &S, claims: ManyClaims<'_>) -> Result<ManyClaimed> {
    let ManyClaims { slots, lease_life, stamps, stamp_life, beside } = claims;
    let stamps = store.capture(stamps, stamp_life).await?;
    let mut won = Vec::with_capacity(slots.len());
    for &SlotClaim { slot, over, lease } in slots {
        let request = ClaimRequest { slot, over, lease, lease_life, stamps: &[], stamp_life, beside };
        won.push(store.claim(request).await? != Claim::Lost);
    }
    Ok(ManyClaimed { stamps, won })
}

pub(super) async fn replace<S: Store + ?Sized>(
    store: &S,
    replacements: &[Replacement<'_>],
) -> Vec<Result<Guarded>> {
    let mut outcomes = Vec::with_capacity(replacements.len());
    for it in replacements {
        outcomes.push(store.replace(it.slot, it.expected, it.value, it.life).await);
    }
    outcomes
}

pub(super) async fn extend<S: Store + ?Sized>(
    store: &S,
    held: &[Held<'_>],
    life: Duration,
) -> Vec<Result<Guarded>> {
    let mut outcomes = Vec::with_capacity(held.len());
    for it in held {
        outcomes.push(store.extend(it.key, it.expected, life).await);
    }
    outcomes
}

pub(super) async fn release<S: Store + ?Sized>(store: &S, held: &[Held<'_>]) -> Vec<Result<Guarded>> {
    let mut outcomes = Vec::with_capacity(held.len());
    for it in held {
        outcomes.push(store.release(it.key, it.expected).await);
    }
    outcomes
}
