//! What one acquisition knows of one master.

use std::time::Duration;

use crate::clock::Instant;
use crate::lock::quorum::master::Token;
use crate::lock::quorum::validity::Between;
use crate::lock::quorum::votes::NoVote;

/// See the module.
#[derive(Debug)]
pub(super) struct Seat {
    pub(super) holds: Holds,
    /// What its counter was at least while the key held our value.
    pub(super) counter: Token,
    /// When the key was last given its life.
    pub(super) set: Option<Between>,
    pub(super) vote: Vote,
    /// The request whose answer is the vote.
    pub(super) request: u64,
    /// Requests under way that may give us the key.
    pub(super) taking: u32,
    /// How long others may still hold the key.
    pub(super) left: Option<Duration>,
}

/// Whether the key may hold our value there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Holds {
    No,
    Maybe,
    Yes,
}

#[derive(Debug)]
pub(super) enum Vote {
    /// Asked for, and waited for until then.
    Open { sent: Instant, until: Instant },
    Yes,
    No(NoVote),
}

impl Seat {
    pub(super) fn new() -> Self {
        Self {
            holds: Holds::No,
            counter: 0,
            set: None,
            vote: Vote::No(NoVote::Held),
            request: 0,
            taking: 0,
            left: None,
        }
    }

    pub(super) fn is_open(&self) -> bool {
        matches!(self.vote, Vote::Open { .. })
    }

    pub(super) fn is_yes(&self) -> bool {
        matches!(self.vote, Vote::Yes)
    }

    pub(super) fn is_no(&self) -> bool {
        matches!(self.vote, Vote::No(_))
    }

    /// Whether somebody else has its vote for certain.
    pub(super) fn is_held(&self) -> bool {
        matches!(&self.vote, Vote::No(cause) if cause.is_held())
    }

    /// Whether something must be given back there.
    pub(super) fn may_hold(&self) -> bool {
        self.holds != Holds::No || self.taking > 0
    }
}
