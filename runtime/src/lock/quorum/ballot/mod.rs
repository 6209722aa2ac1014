//! One acquisition over all masters, from before the first byte is sent until nothing of it is left.
//!
//! Requests to all masters are in one set, which whoever waits for a decision polls: nothing is spawned on the way of a lock.
//! What is still under way when a decision is made stays in the set, and its answers are taken note of later: a late grant
//! is kept when the lock was won, and given back when it was not. A ballot that is dropped gives everything back in a
//! task of its own.

mod acquire;
mod extend;
mod release;
mod seat;

use std::future::{Future, poll_fn};
use std::ops::Deref;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;

use super::Quorum;
use super::master::{Acquired, Ask, Extended, Master, Owned, Token};
use super::validity::Between;
use super::votes::{MasterVote, NoVote, Refusal};
use crate::clock::{self, Instant};
use crate::error::Result;
use seat::{Holds, Seat, Vote};

pub(crate) use acquire::Won;
pub(crate) use extend::Prolonged;
pub(crate) use release::Freed;

/// See the module.
#[derive(Debug)]
pub(crate) struct Ballot<M: Master>(Count<M>);

/// The count of the votes. Unlike the ballot, it gives nothing back when it is dropped.
#[derive(Debug)]
pub(crate) struct Count<M: Master> {
    quorum: Arc<Quorum<M>>,
    ask: Arc<Ask>,
    state: Mutex<State>,
    /// Held by whoever waits for answers: only the last who polled is woken.
    operation: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    seats: Vec<Seat>,
    under_way: FuturesUnordered<Request>,
    /// The number of the last request.
    requests: u64,
    won: Option<Won>,
    /// When the last request was sent that may give us a key.
    last_taking: Option<Instant>,
    /// Nothing is wanted any more: what is had is given back.
    is_over: bool,
}

type Request = Pin<Box<dyn Future<Output = Answer> + Send>>;

/// What is asked of one master.
#[derive(Debug, Clone, Copy)]
enum Question {
    Acquire { proposal: Token },
    Extend { token: Token },
    Raise { token: Token },
    Release,
}

/// How often open votes are looked at if nobody ticks.
const LAST_LOOK: Duration = Duration::from_millis(200);

struct Answer {
    index: usize,
    request: u64,
    between: Between,
    said: Said,
}

enum Said {
    Acquired(Result<Acquired>),
    Extended(Result<Extended>),
    Raised(Token, Result<Owned>),
    Released(Result<Owned>),
}

impl<M: Master> Ballot<M> {
    pub(crate) fn new(quorum: Arc<Quorum<M>>, ask: Ask) -> Self {
        let seats = quorum.nodes().iter().map(|_| Seat::new()).collect();
        let state = Mutex::new(State { seats, ..State::default() });
        Self(Count { quorum, ask: Arc::new(ask), state, operation: tokio::sync::Mutex::default() })
    }
}

impl<M: Master> Deref for Ballot<M> {
    type Target = Count<M>;

    fn deref(&self) -> &Count<M> {
        &self.0
    }
}

impl<M: Master> Count<M> {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks a master, and opens its vote for as long as it is `patient`. Sent when it is first polled.
    fn ask(&self, state: &mut State, index: usize, question: Question, patience: Duration) {
        state.requests += 1;
        let request = state.requests;
        let (now, began) = (clock::now(), clock::moment());
        let seat = &mut state.seats[index];
        seat.request = request;
        seat.vote = Vote::Open { sent: now, until: now + patience };
        if matches!(question, Question::Acquire { .. } | Question::Extend { .. }) {
            seat.taking += 1;
            if seat.holds == Holds::No {
                seat.holds = Holds::Maybe;
            }
            state.last_taking = Some(now);
        }
        let (quorum, ask) = (Arc::clone(&self.quorum), Arc::clone(&self.ask));
        state.under_way.push(Box::pin(async move {
            let master = &quorum.nodes()[index].master;
            let said = match question {
                Question::Acquire { proposal } => Said::Acquired(master.acquire(&ask, proposal).await),
                Question::Extend { token } => Said::Extended(master.extend(&ask, token).await),
                Question::Raise { token } => Said::Raised(token, master.raise(&ask, token).await),
                Question::Release => Said::Released(master.release(&ask).await),
            };
            Answer { index, request, between: Between { sent: began, answered: clock::moment() }, said }
        }));
    }

    /// Takes note of an answer, late or not.
    fn note(&self, state: &mut State, answer: Answer) {
        let Answer { index, request, between, said } = answer;
        let node = &self.quorum.nodes()[index];
        let seat = &mut state.seats[index];
        let before = seat.set;
        if matches!(said, Said::Acquired(_) | Said::Extended(_)) {
            seat.taking -= 1;
        }
        let vote = match said {
            Said::Acquired(Ok(Acquired::Granted { counter, admitted })) => {
                seat.holds = Holds::Yes;
                seat.counter = seat.counter.max(counter);
                seat.set = Some(between);
                node.vote(&admitted, self.quorum.rules())
            }
            Said::Acquired(Ok(Acquired::Held { left })) => {
                seat.holds = Holds::No;
                seat.left = Some(left);
                Err(NoVote::Held)
            }
            Said::Acquired(Ok(Acquired::Unlisted)) => {
                seat.holds = Holds::No;
                Err(NoVote::Resting)
            }
            Said::Extended(Ok(Extended::Kept { left })) => {
                seat.holds = Holds::Yes;
                seat.set = Some(between);
                if let Some(set) = before {
                    node.had_left(set, between, self.ask.ttl, left);
                }
                node.trusted()
            }
            Said::Extended(Ok(gone)) => {
                if let Some(set) = before.filter(|_| seat.holds == Holds::Yes) {
                    node.had_left(set, between, self.ask.ttl, Duration::ZERO);
                }
                let repaired = gone == Extended::Repaired;
                seat.holds = if repaired { Holds::Yes } else { Holds::No };
                seat.set = repaired.then_some(between);
                if repaired { node.trusted() } else { Err(NoVote::Held) }
            }
            Said::Raised(token, Ok(Owned::Done)) => {
                seat.counter = seat.counter.max(token);
                Ok(())
            }
            Said::Released(Ok(Owned::Done)) => {
                seat.holds = Holds::No;
                Ok(())
            }
            Said::Raised(_, Ok(Owned::NotOurs)) | Said::Released(Ok(Owned::NotOurs)) => {
                seat.holds = Holds::No;
                Err(NoVote::Held)
            }
            Said::Acquired(Err(error))
            | Said::Extended(Err(error))
            | Said::Raised(_, Err(error))
            | Said::Released(Err(error)) => {
                if request == seat.request {
                    seat.vote = Vote::No(NoVote::Failed(error));
                }
                return;
            }
        };
        if matches!(vote, Err(NoVote::Resting)) {
            self.quorum.set_resting(true);
        }
        node.round_trip.observe(between.answered - between.sent);
        // A vote that came too late for its time, and in time for the decision, counts.
        if request == seat.request {
            seat.vote = vote.map_or_else(Vote::No, |()| Vote::Yes);
        }
    }

    /// Waits until the votes decide, taking note of answers. `verdict` must decide once no vote is open.
    async fn decide<V>(&self, mut verdict: impl FnMut(&State) -> Option<V>) -> V {
        let deciding = self.quorum.ticker().decide();
        let mut tick = pin!(deciding.ticks().notified());
        // Should the ticks end with the runtime that they are of: later than they all.
        let mut end = pin!(clock::sleep(LAST_LOOK));
        poll_fn(|cx| {
            let mut state = self.state();
            if let Some(decided) = verdict(&state) {
                return Poll::Ready(decided);
            }
            while let Poll::Ready(Some(answer)) = state.under_way.poll_next_unpin(cx) {
                self.note(&mut state, answer);
                if let Some(decided) = verdict(&state) {
                    return Poll::Ready(decided);
                }
            }
            while state.has_open() {
                let is_tick = tick.as_mut().poll(cx).is_ready();
                if is_tick {
                    tick.set(deciding.ticks().notified());
                }
                let is_end = end.as_mut().poll(cx).is_ready();
                if is_end {
                    end.set(clock::sleep(LAST_LOOK));
                }
                if !is_tick && !is_end {
                    break;
                }
                state.expire(clock::now());
                if let Some(decided) = verdict(&state) {
                    return Poll::Ready(decided);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// Takes note of whatever is answered until `limit`, or until nothing is under way.
    async fn drive(&self, limit: Instant) {
        let mut timer = pin!(clock::sleep_until(limit));
        poll_fn(|cx| {
            let mut state = self.state();
            while let Poll::Ready(next) = state.under_way.poll_next_unpin(cx) {
                match next {
                    Some(answer) => self.note(&mut state, answer),
                    None => return Poll::Ready(()),
                }
            }
            timer.as_mut().poll(cx)
        })
        .await;
    }

    /// Sends what was not sent yet, and takes note of what has come. Whoever polls next is woken by what comes later.
    fn poll_once(&self, state: &mut MutexGuard<'_, State>) {
        let mut cx = Context::from_waker(Waker::noop());
        while let Poll::Ready(Some(answer)) = state.under_way.poll_next_unpin(&mut cx) {
            self.note(state, answer);
        }
    }

    fn refusal(&self, state: &State) -> Refusal {
        let vote = |(node, seat): (&Arc<super::Node<M>>, &Seat)| MasterVote {
            server: node.master.name().to_owned(),
            vote: match &seat.vote {
                Vote::Yes => Ok(()),
                Vote::No(cause) => Err(cause.clone()),
                Vote::Open { sent, .. } => Err(NoVote::Unanswered { waited: clock::now() - *sent }),
            },
        };
        Refusal {
            votes: self.quorum.nodes().iter().zip(&state.seats).map(vote).collect(),
            needed: self.quorum.needed(),
            left: state.seats.iter().filter_map(|seat| seat.left).max(),
            open: state.count(Seat::is_open),
        }
    }
}

impl State {
    fn count(&self, which: impl Fn(&Seat) -> bool) -> usize {
        self.seats.iter().filter(|seat| which(seat)).count()
    }

    /// Whether a vote may still come in time.
    fn has_open(&self) -> bool {
        self.seats.iter().any(Seat::is_open)
    }

    fn expire(&mut self, now: Instant) {
        for seat in &mut self.seats {
            if let Vote::Open { sent, until } = seat.vote
                && until <= now
            {
                seat.vote = Vote::No(NoVote::Unanswered { waited: until - sent });
            }
        }
    }
}
