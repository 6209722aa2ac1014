//! Giving everything back, on every master: one that refused or did not answer may have our value all the same.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::{Ballot, Count, Holds, Question, Seat, State};
use crate::clock;
use crate::lock::quorum::master::Master;
use crate::lock::quorum::votes::Refusal;
use crate::telemetry;

/// What a release came to.
#[derive(Debug, Clone)]
pub(crate) enum Freed {
    /// A majority held it until now.
    Released,
    /// A majority did not hold it any more.
    NotHeld,
    /// Too few answered. It is tried again in the background; what cannot be told ends with its `ttl`.
    Unknown(Refusal),
}

/// Pauses between two tries of giving back, at first and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);

impl<M: Master> Count<M> {
    /// Frees the lock, as far as a majority of answers tells; the rest goes on when the ballot is dropped.
    pub(crate) async fn release(&self) -> Freed {
        let _operation = self.operation.lock().await;
        let patience = (self.ask.ttl / 10).max(Duration::from_millis(1));
        {
            let mut state = self.state();
            state.is_over = true;
            state.won = None;
            for index in 0..state.seats.len() {
                self.ask(&mut state, index, Question::Release, patience);
            }
        }
        let needed = self.quorum.needed();
        let most_others = self.quorum.nodes().len() - needed;
        self.decide(|state| {
            if state.count(Seat::is_yes) >= needed {
                return Some(Freed::Released);
            }
            if state.count(Seat::is_held) > most_others {
                return Some(Freed::NotHeld);
            }
            (state.count(Seat::is_open) == 0).then(|| Freed::Unknown(self.refusal(state)))
        })
        .await
    }

    /// Sends what gives back whatever may be had, at once: whoever asks anew after this is behind it on every connection.
    fn give_back(&self, state: &mut MutexGuard<'_, State>) {
        state.is_over = true;
        state.won = None;
        for index in 0..state.seats.len() {
            if state.seats[index].may_hold() {
                self.ask(state, index, Question::Release, LONGEST_PAUSE);
            }
        }
        // So that everything leaves in this order.
        self.poll_once(state);
    }

    /// Waits for late answers, and frees until every master has confirmed that nothing of ours is left, or it has ended by
    /// itself.
    async fn clear(self) {
        let expires = self.state().last_taking.map(|sent| sent + self.ask.ttl);
        let mut pause = FIRST_PAUSE;
        loop {
            self.drive(clock::now() + pause).await;
            if self.state().count(Seat::may_hold) == 0 {
                return;
            }
            clock::sleep(pause).await;
            pause = (2 * pause).min(LONGEST_PAUSE);
            if expires.is_none_or(|expires| clock::now() >= expires) {
                return telemetry::lock_not_given_back(&self.ask.key);
            }
            let mut state = self.state();
            for index in 0..state.seats.len() {
                let seat = &state.seats[index];
                // Not while an answer is waited for that may give it to us: it would have to be freed again.
                if seat.may_hold() && !seat.is_open() && (seat.taking == 0 || seat.holds == Holds::Yes) {
                    self.ask(&mut state, index, Question::Release, LONGEST_PAUSE);
                }
            }
        }
    }

    fn is_clear(&self) -> bool {
        let state = self.state();
        state.count(Seat::may_hold) == 0 && state.under_way.is_empty()
    }
}

impl<M: Master> Drop for Ballot<M> {
    fn drop(&mut self) {
        if self.is_clear() {
            return;
        }
        // Without a runtime nothing can be sent any more: the lock ends by itself.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let mut state = self.state();
        if !state.is_over {
            self.give_back(&mut state);
        }
        let state = std::mem::take(&mut *state);
        let (quorum, ask) = (Arc::clone(&self.quorum), Arc::clone(&self.ask));
        let operation = tokio::sync::Mutex::default();
        runtime.spawn(Count { quorum, ask, state: Mutex::new(state), operation }.clear());
    }
}
