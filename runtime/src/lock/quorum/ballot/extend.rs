//! Prolonging the lock, and winning over the masters that it is not held on yet.

use std::time::Duration;

use super::{Count, Holds, Question, Seat};
use crate::clock;
use crate::lock::quorum::master::Master;
use crate::lock::quorum::validity;
use crate::lock::quorum::votes::Refusal;

/// What an extension came to.
#[derive(Debug, Clone)]
pub(crate) enum Prolonged {
    /// The lock may be relied on until its new deadline.
    Kept,
    /// Too many masters have it no more, or too much time has passed. That is final.
    Lost,
    /// No majority has confirmed it yet; the old deadline stands.
    Unconfirmed(Refusal),
}

/// How long the answer to a repair is waited for, as far as anybody does.
const REPAIR: Duration = Duration::from_millis(100);

impl<M: Master> Count<M> {
    /// Asks all masters at once, and sets the key again where it is free: on a master that was restarted, say. A majority of
    /// confirmations before the old deadline makes a new one.
    pub(crate) async fn extend(&self) -> Prolonged {
        let _operation = self.operation.lock().await;
        let began = clock::moment();
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
                self.ask(&mut state, index, Question::Extend { token: won.token }, patience);
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
        if checks && clock::moment() >= won.deadline {
            return Prolonged::Lost;
        }
        if confirmed {
            let deadline = validity::deadline(began, self.ask.ttl);
            state.won = Some(super::Won { deadline, ..won });
            return Prolonged::Kept;
        }
        if state.count(Seat::is_held) > most_refusals {
            return Prolonged::Lost;
        }
        Prolonged::Unconfirmed(self.refusal(&state))
    }

    /// Takes note of late answers, and asks those masters again on which the lock is not held: one that only a bare majority
    /// holds survives the failure of none. To be called now and then; does not wait. Whether all masters hold it.
    pub(crate) fn settle(&self) -> bool {
        let Some(won) = self.won() else { return true };
        // Whoever waits for answers takes note of them.
        let Ok(_nobody_else) = self.operation.try_lock() else { return false };
        let mut state = self.state();
        self.poll_once(&mut state);
        let is_held = |seat: &Seat| seat.holds == Holds::Yes;
        let missing: Vec<usize> =
            (0..state.seats.len()).filter(|&index| !is_held(&state.seats[index])).collect();
        if missing.is_empty() {
            return true;
        }
        let now = clock::moment();
        for index in missing {
            if now < won.deadline && state.seats[index].taking == 0 && state.seats[index].may_repair(now) {
                self.ask(&mut state, index, Question::Extend { token: won.token }, REPAIR);
            }
        }
        self.poll_once(&mut state);
        false
    }
}
