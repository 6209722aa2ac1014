//! Prolonging the lock, and winning over the masters that it is not held on yet.

use std::future::pending;
use std::time::Duration;

use super::{Count, Holds, Question, Seat};
use crate::clock::{self, Instant};
use crate::lock::quorum::master::Master;
use crate::lock::quorum::validity;
use crate::lock::quorum::votes::Refusal;

/// What an extension came to.
#[derive(Debug, Clone)]
pub(crate) enum Prolonged {
    /// The lock may be relied on until then.
    Until(Instant),
    /// Too many masters have it no more, or too much time has passed. That is final.
    Lost,
    /// No majority has confirmed it yet; the old deadline stands.
    Unconfirmed(Refusal),
}

/// How often a master on which the lock is not held is asked again, at first and at most.
const FIRST_REPAIR: Duration = Duration::from_millis(20);
const LONGEST_REPAIR: Duration = Duration::from_secs(1);

impl<M: Master> Count<M> {
    /// Asks all masters at once, and sets the key again where it is free: on a master that was restarted, say. A majority of
    /// confirmations before the old deadline makes a new one.
    pub(crate) async fn extend(&self) -> Prolonged {
        let began = clock::now();
        let Some(won) = self.won() else { return Prolonged::Lost };
        let checks = self.quorum.rules().repair_in_time_only;
        if checks && began >= won.deadline {
            return Prolonged::Lost;
        }
        // Who prolongs in time has time to wait for slow masters.
        let patience = (self.ask.ttl / 10).max(Duration::from_millis(1));
        {
            let mut state = self.state();
            for index in 0..state.seats.len() {
                self.ask(&mut state, index, Question::Extend { repair: Some(won.token) }, patience);
            }
        }
        let needed = self.quorum.needed();
        let most_refusals = self.quorum.nodes().len() - needed;
        let confirmed = self
            .decide(|state| {
                let is_refused = state.count(Seat::is_no) > most_refusals;
                (state.count(Seat::is_yes) >= needed).then_some(true).or(is_refused.then_some(false))
            })
            .await;
        let mut state = self.state();
        if checks && clock::now() >= won.deadline {
            return Prolonged::Lost;
        }
        if confirmed {
            let deadline = validity::deadline(began, self.ask.ttl);
            state.won = Some(super::Won { deadline, ..won });
            return Prolonged::Until(deadline);
        }
        if state.count(Seat::is_held) > most_refusals {
            return Prolonged::Lost;
        }
        Prolonged::Unconfirmed(self.refusal(&state, false))
    }

    /// Takes note of late answers, and asks the masters again on which the lock is not held, for ever. A lock that only a bare
    /// majority holds survives the failure of none.
    pub(crate) async fn settle(&self) {
        let mut pause = FIRST_REPAIR;
        loop {
            let Some(won) = self.won() else { return pending().await };
            self.drive(clock::now() + pause).await;
            if self.state().seats.iter().all(|seat| seat.holds == Holds::Yes) {
                return pending().await;
            }
            clock::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_REPAIR);
            let now = clock::now();
            let mut state = self.state();
            if now >= won.deadline || state.is_over {
                continue;
            }
            for index in 0..state.seats.len() {
                let seat = &state.seats[index];
                if seat.holds != Holds::Yes && seat.taking == 0 {
                    self.ask(&mut state, index, Question::Extend { repair: Some(won.token) }, pause);
                }
            }
        }
    }
}
