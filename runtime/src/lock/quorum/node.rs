//! One master and what is known about it: its round trip, and whether its vote counts.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::QuorumRules;
use super::limit::RoundTrip;
use super::master::{Master, RunId};
use super::validity::Between;
use super::votes::NoVote;
use crate::clock::{self, Instant};
use crate::telemetry;

#[derive(Debug)]
pub(crate) struct Node<M> {
    pub(crate) master: M,
    pub(crate) round_trip: RoundTrip,
    distrusted_until: Mutex<Option<Instant>>,
}

impl<M: Master> Node<M> {
    pub(crate) fn new(master: M) -> Self {
        Self { master, round_trip: RoundTrip::default(), distrusted_until: Mutex::default() }
    }

    /// Whether its grant counts, which it gave in the run for which it was `admitted`, if it tells the truth.
    ///
    /// A server that was restarted with old data says that it was admitted, and was: as an earlier run. It is asked after
    /// the answer who it is, so that a restart in between is noticed.
    pub(crate) fn vote(&self, admitted: &RunId, rules: QuorumRules) -> Result<(), NoVote> {
        if rules.rest_after_restart && !self.master.is_run(admitted) {
            return Err(NoVote::Resting);
        }
        self.trusted()
    }

    /// Whether its clock is trusted.
    pub(crate) fn trusted(&self) -> Result<(), NoVote> {
        let mut distrusted = self.distrusted();
        match *distrusted {
            Some(until) if clock::now() < until => Err(NoVote::Distrusted),
            Some(_) => {
                *distrusted = None;
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// A key that was `set` for `ttl` had so much `left` of its life at a time within `asked`. A clock that was set meanwhile
    /// costs the master its vote for a while.
    pub(crate) fn had_left(&self, set: Between, asked: Between, ttl: Duration, left: Duration) {
        if !asked.agrees_with(set, ttl, left) {
            telemetry::lock_master_distrusted(self.master.name());
            *self.distrusted() = Some(clock::now() + ttl);
        }
    }

    fn distrusted(&self) -> MutexGuard<'_, Option<Instant>> {
        self.distrusted_until.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
