//! What one acquisition knows of one master.

use std::time::Duration;

use crate::clock::{Instant, Moment};
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
    /// When it is asked again for a key that it did not give, and after what pause then.
    repair_at: Option<Moment>,
    repair_pause: Duration,
}

/// How often a master on which the lock is not held is asked again, at most.
const LONGEST_REPAIR: Duration = Duration::from_secs(1);

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
    Open {
        sent: Instant,
        until: Instant,
    },
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
            repair_at: None,
            repair_pause: Duration::from_millis(20),
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

    /// Whether it is time to ask it again, which it then is not for a while.
    pub(super) fn may_repair(&mut self, now: Moment) -> bool {
        if self.repair_at.is_some_and(|at| now < at) {
            return false;
        }
        self.repair_at = Some(now + self.repair_pause);
        self.repair_pause = (2 * self.repair_pause).min(LONGEST_REPAIR);
        true
    }

    /// Whether something must be given back there.
    pub(super) fn may_hold(&self) -> bool {
        self.holds != Holds::No || self.taking > 0
    }
}
