//! Callers of a key that their process is loading look at the store together, now and then: a thousand of them cost the server
//! a command or two, not one for each few.
//!
//! What they share was read after the last of them had called, so nobody is shown what was invalidated before it called.

use std::fmt;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::watch;

use super::session::Look;
use super::single_flight::Flight;
use crate::clock;
use crate::error::Result;
use crate::key::Key;

/// How long the first look waits for more callers, unless the load ends before, and how long later ones do at most: each waits
/// twice as long as the one before it. Somebody whose load was invalidated learns that much later that another one is needed.
const PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);
/// How much later than that whoever looks may begin: it may be a future that nobody polls for now.
const PATIENCE: Duration = Duration::from_millis(10);

/// Where callers of one load meet.
#[derive(Debug, Default)]
pub(super) struct Rounds(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    open: Option<Arc<Round>>,
    last_pause: Option<Duration>,
}

/// Those who look together.
#[derive(Debug)]
struct Round {
    /// What is read with the slot. Functions that share a key need not share these.
    stamps: Vec<Key>,
    pause: Duration,
    seen: watch::Sender<Seen>,
}

/// What came of it.
enum Seen {
    NotYet,
    /// The look is on its way.
    Soon,
    This(Look),
    /// Whoever was to look has left, or has failed.
    Nothing,
}

/// A caller's part in a round.
enum Part<'a> {
    Looks(Looking<'a>),
    Waits(Arc<Round>),
}

/// Whoever looks for all. However it ends, nobody is left waiting.
struct Looking<'a> {
    rounds: &'a Rounds,
    round: Arc<Round>,
}

impl Flight {
    /// A look for everybody who comes within a moment, or until the load ends. `None` for who is to look for itself: it needs
    /// other stamps than those that have met already, or waits in vain.
    pub(super) async fn look_together<F>(
        &self,
        stamps: &[Key],
        look: impl FnOnce() -> F,
    ) -> Option<Result<Look>>
    where
        F: Future<Output = Result<Look>>,
    {
        match self.rounds.join(stamps)? {
            Part::Looks(looking) => {
                let ended = pin!(self.ended());
                // Either will do.
                let _ = clock::within(looking.round.pause, ended).await;
                // Who comes from now on is not part of this look, which begins now.
                looking.rounds.close(&looking.round);
                looking.round.seen.send_replace(Seen::Soon);
                let seen = look().await;
                if let Ok(look) = &seen {
                    looking.round.seen.send_replace(Seen::This(look.shared()));
                }
                Some(seen)
            }
            Part::Waits(round) => {
                let seen = round.wait().await;
                if seen.is_none() {
                    self.rounds.close(&round);
                }
                seen.map(Ok)
            }
        }
    }
}

impl Rounds {
    fn join(&self, stamps: &[Key]) -> Option<Part<'_>> {
        let mut state = self.state();
        if let Some(round) = &state.open {
            return (round.stamps == stamps).then(|| Part::Waits(Arc::clone(round)));
        }
        let pause = state.last_pause.map_or(PAUSE, |last| (2 * last).min(LONGEST_PAUSE));
        let seen = watch::Sender::new(Seen::NotYet);
        let round = Arc::new(Round { stamps: stamps.to_vec(), pause, seen });
        *state = State { open: Some(Arc::clone(&round)), last_pause: Some(pause) };
        Some(Part::Looks(Looking { rounds: self, round }))
    }

    fn close(&self, round: &Arc<Round>) {
        self.state().open.take_if(|open| Arc::ptr_eq(open, round));
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Round {
    async fn wait(&self) -> Option<Look> {
        let mut seen = self.seen.subscribe();
        {
            let begun = seen.wait_for(|seen| !matches!(seen, Seen::NotYet));
            drop(clock::within(self.pause + PATIENCE, begun).await?);
        }
        // Once it is on its way, the look has the time that a look-up has.
        let seen = seen.wait_for(|seen| matches!(seen, Seen::This(_) | Seen::Nothing)).await;
        match &*seen.ok()? {
            Seen::This(look) => Some(look.shared()),
            Seen::NotYet | Seen::Soon | Seen::Nothing => None,
        }
    }
}

impl Drop for Looking<'_> {
    fn drop(&mut self) {
        self.rounds.close(&self.round);
        self.round.seen.send_if_modified(|seen| {
            let left = matches!(seen, Seen::NotYet | Seen::Soon);
            if left {
                *seen = Seen::Nothing;
            }
            left
        });
    }
}

impl fmt::Debug for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotYet => "NotYet",
            Self::Soon => "Soon",
            Self::This(_) => "This",
            Self::Nothing => "Nothing",
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tokio::sync::Notify;

    use super::*;
    use crate::Keylatch;
    use crate::cache::single_flight::{Ending, Role};

    fn look(home: &Keylatch) -> Look {
        let at = home.flights().moment();
        Look { slot: None, stamps: std::iter::empty().collect(), via: None, keep: None, at }
    }

    fn flight(home: &Keylatch) -> Arc<Flight> {
        match home.flights().join(&Key::of("key"), home.flights().moment()) {
            Role::Lead(flight) => flight,
            Role::Follow(_) => unreachable!("nobody loads"),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn those_who_come_before_a_look_begins_share_it_and_nobody_else_does() {
        let home = Keylatch::in_memory();
        let flight = flight(&home);
        let (looks, go_on) = (Cell::new(0), Notify::new());
        let slowly = async || {
            looks.set(looks.get() + 1);
            let look = look(&home);
            go_on.notified().await;
            Ok(look)
        };
        let caller = async || flight.look_together(&[], &slowly).await.expect("the same stamps").unwrap().at;
        let (mut first, mut second) = (pin!(caller()), pin!(caller()));
        assert!(
            clock::within(PAUSE / 2, &mut first).await.is_none() && looks.get() == 0,
            "it waits for others"
        );
        assert!(clock::within(PAUSE, &mut second).await.is_none());
        // The look is the first caller's, who has to be polled for it to begin.
        assert!(clock::within(PAUSE, &mut first).await.is_none() && looks.get() == 1, "it is on its way");
        let mut late = pin!(caller());
        assert!(
            clock::within(3 * PAUSE / 2, &mut late).await.is_none() && looks.get() == 1,
            "it waits for longer"
        );
        assert!(clock::within(PAUSE, &mut late).await.is_none() && looks.get() == 2, "it looks for itself");
        go_on.notify_waiters();
        let (first, second, late) = (first.await, second.await, late.await);
        assert!(first == second && second < late, "{first:?} {second:?} {late:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn nobody_waits_for_a_caller_who_leaves_or_is_not_polled() {
        let home = Keylatch::in_memory();
        let flight = flight(&home);
        for leaves in [true, false] {
            let mut looks = Box::pin(flight.look_together(&[], std::future::pending));
            assert!(clock::within(Duration::ZERO, &mut looks).await.is_none());
            let mut waits = pin!(flight.look_together(&[], std::future::pending));
            assert!(clock::within(PATIENCE / 2, &mut waits).await.is_none());
            let unpolled = (!leaves).then_some(looks);
            let began = clock::now();
            assert!(waits.await.is_none(), "it is to look for itself");
            assert_eq!(
                clock::now() - began,
                if leaves { Duration::ZERO } else { LONGEST_PAUSE + PATIENCE / 2 }
            );
            // The next one counts on nobody who is gone.
            let next = pin!(flight.look_together(&[], async || Ok(look(&home))));
            assert!(next.await.is_some_and(|look| look.is_ok()));
            drop(unpolled);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_look_comes_at_once_when_the_load_has_ended_and_other_stamps_need_another_one() {
        let home = Keylatch::in_memory();
        let flight = flight(&home);
        let mut waits = pin!(flight.look_together(&[], async || Ok(look(&home))));
        assert!(clock::within(Duration::ZERO, &mut waits).await.is_none());
        let other = [Key::of("stamp")];
        assert!(flight.look_together(&other, async || Ok(look(&home))).await.is_none());
        home.flights().end(&Key::of("key"), &flight, Ending::Abandoned);
        assert!(clock::within(Duration::ZERO, waits).await.is_some(), "there is nothing to wait for");
    }
}
