//! Taking the lock: a majority of grants, and a token that a majority stands for.

use super::{Count, Question, Seat, State};
use crate::clock::{self, Moment};
use crate::lock::quorum::Tokens;
use crate::lock::quorum::master::{Master, Token};
use crate::lock::quorum::validity;
use crate::lock::quorum::votes::Refusal;

/// A lock that was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Won {
    /// The last of the fencing tokens; 0 if none were wanted.
    pub(crate) token: Token,
    pub(crate) deadline: Moment,
}

impl<M: Master> Count<M> {
    /// Asks all masters at once. Returns at the deciding grant or refusal; after a refusal, the ballot is to be dropped. Tokens
    /// count from `proposal`, where masters have none that is higher: then all return the same, and one round trip serves. Masters
    /// are waited for longer where the usual time `was_short` before.
    ///
    /// # Errors
    /// What each master said.
    pub(crate) async fn acquire(&self, proposal: Token, was_short: u32) -> Result<Won, Refusal> {
        let _operation = self.operation.lock().await;
        // Counted from before the first byte leaves: no server can have begun earlier.
        let began = clock::moment();
        {
            let mut state = self.state();
            for (index, node) in self.quorum.nodes().iter().enumerate() {
                let patience = node.round_trip.limit(self.ask.ttl, was_short);
                self.ask(&mut state, index, Question::Acquire { proposal }, patience);
            }
        }
        let needed = self.quorum.needed();
        let most_refusals = self.quorum.nodes().len() - needed;
        let is_granted = self
            .decide(|state| {
                let is_refused = state.count(Seat::is_no) > most_refusals;
                (state.count(Seat::is_yes) >= needed).then_some(true).or(is_refused.then_some(false))
            })
            .await;
        let deadline = validity::deadline(began, self.ask.ttl);
        let token = if is_granted { self.token(proposal, was_short).await } else { None };
        let mut state = self.state();
        let Some(token) = token else { return Err(self.refusal(&state)) };
        let now = clock::moment();
        let won = if self.quorum.rules().check_elapsed {
            if !validity::is_worth_having(now, deadline, self.ask.ttl) {
                let mut refusal = self.refusal(&state);
                refusal.were_late(now - began);
                return Err(refusal);
            }
            Won { token, deadline }
        } else {
            Won { token, deadline: validity::deadline(now, self.ask.ttl) }
        };
        state.won = Some(won);
        Ok(won)
    }

    /// The highest counter, once the counters of a majority are exactly that while our value was there. Where they are lower,
    /// they are raised, which a master does for the holder of its key alone: so whoever is granted a key after us counts
    /// from our token on. A counter that is higher, of a grant that came late, does not confirm the token: its master may have
    /// been somebody else's in between, under that very token. It becomes the token. (The model of locks in the tests finds
    /// two holders with one token otherwise.)
    async fn token(&self, proposal: Token, was_short: u32) -> Option<Token> {
        if self.ask.tokens == 0 {
            return Some(0);
        }
        let needed = self.quorum.needed();
        loop {
            let token = {
                let mut state = self.state();
                let token = highest(&state).unwrap_or(proposal);
                match self.quorum.rules().tokens {
                    Tokens::Raised => {}
                    Tokens::Highest => return Some(token),
                    Tokens::HighestAndOne => return Some(token + 1),
                }
                for (index, node) in self.quorum.nodes().iter().enumerate() {
                    if state.seats[index].is_yes() && state.seats[index].counter < token {
                        let patience = node.round_trip.limit(self.ask.ttl, was_short);
                        self.ask(&mut state, index, Question::Raise { token }, patience);
                    }
                }
                token
            };
            let confirmed = |seat: &Seat| seat.is_yes() && seat.counter == token;
            let raised = self
                .decide(|state| {
                    if state.count(confirmed) >= needed {
                        return Some(Raised::Confirmed);
                    }
                    let others = state.count(|seat| seat.is_yes() && seat.counter != token);
                    let open = state.count(Seat::is_open);
                    let hopeless = state.count(Seat::is_yes) + open < needed;
                    hopeless.then_some(Raised::Refused).or((others > 0).then_some(Raised::Again))
                })
                .await;
            match raised {
                Raised::Confirmed => return Some(token),
                Raised::Refused => return None,
                Raised::Again => {}
            }
        }
    }

    /// What was won, as it was last prolonged.
    pub(crate) fn won(&self) -> Option<Won> {
        self.state().won
    }
}

/// What came of raising counters.
enum Raised {
    /// A majority stands for the token.
    Confirmed,
    /// A grant has come late, with another counter.
    Again,
    Refused,
}

fn highest(state: &State) -> Option<Token> {
    state.seats.iter().filter(|seat| seat.is_yes()).map(|seat| seat.counter).max()
}
