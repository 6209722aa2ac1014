//! Who may vote: masters that remember what they have granted.
//!
//! A master that was restarted may have forgotten a lock that is still held, and counters, which are in no other master's
//! lock. So each master has a *ledger*, written for one run of its server. Without one it grants nothing, and a
//! grant under the ledger of another run does not count. It gets a new ledger when two things are certain: that no lock is left that
//! counted on its vote (the longest life of a lock has passed), and from where its counters go on (the highest token
//! that a majority of *other* masters remembers; with N = 2k-1 that majority meets every earlier one without the lost
//! master).
//!
//! Where every master answers and none has a ledger, the namespace is new, and all get one. Where every master answers and too few
//! remember, nobody can vouch for the counters: after the rest they go on from the highest that is left, or from the wall
//! clock, with a warning.

use std::time::Duration;

use futures_util::future::join_all;

use super::Quorum;
use super::master::{Ledger, Look, Master, Owned, RunId, Token};
use super::validity::drift;
use crate::clock::{self, Instant};
use crate::telemetry;

/// How long a master is waited for that is asked for its ledger.
const PATIENCE: Duration = Duration::from_secs(1);

/// What this process remembers of the masters' runs.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Since when each master is known to be without a ledger for its run.
    resting: Vec<Option<(RunId, Instant)>>,
    /// Whether some master was seen with a ledger: the namespace is not new.
    has_seen_a_ledger: bool,
    longest: Duration,
    /// Broken on purpose by tests: masters vote at once.
    is_impatient: bool,
}

/// What an attempt to admit masters came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    /// Some may vote now that did not.
    Changed,
    Unchanged,
}

/// What is to be written.
#[derive(Debug, PartialEq, Eq)]
struct Decision {
    index: usize,
    high: Token,
    /// Nobody vouches for it.
    is_a_guess: bool,
}

impl<M: Master> Quorum<M> {
    /// Lets masters vote again that may. One caller at a time does it; the others find it done.
    ///
    /// Where nobody vouches for them, counters go on from the `guess` at least.
    pub(crate) async fn admit(&self, guess: Token) -> Admission {
        let before = self.admissions();
        let mut memory = self.memory().lock().await;
        if self.admissions() != before {
            return Admission::Changed;
        }
        let asked = clock::now();
        let looks = self.nodes().iter().map(|node| clock::within(PATIENCE, node.master.look()));
        let looks: Vec<Option<Look>> = join_all(looks).await.into_iter().map(|look| look?.ok()).collect();
        let decisions = memory.decide(&looks, asked, self.needed(), guess);
        let mut changed = Admission::Unchanged;
        for decision in decisions {
            let (master, look) = (&self.nodes()[decision.index].master, &looks[decision.index]);
            let Some(look) = look else { continue };
            let ledger =
                Ledger { run: RunId::clone(&look.run), high: decision.high, longest: memory.longest };
            let over = look.ledger.as_ref().map(|ledger| &ledger.run);
            if matches!(clock::within(PATIENCE, master.admit(&ledger, over)).await, Some(Ok(Owned::Done))) {
                telemetry::lock_master_admitted(master.name(), decision.is_a_guess);
                changed = Admission::Changed;
            }
        }
        let voters = looks.iter().flatten().filter(|look| look.votes()).count();
        self.set_resting(voters < looks.len());
        // Another process may have done it meanwhile.
        if voters >= self.needed() {
            changed = Admission::Changed;
        }
        if changed == Admission::Changed {
            self.admitted();
        }
        changed
    }
}

impl<M: Master> Quorum<M> {
    /// The same, unless somebody does it already.
    pub(crate) async fn admit_unless_busy(&self, guess: Token) {
        if self.memory().try_lock().is_ok() {
            self.admit(guess).await;
        }
    }
}

impl Look {
    /// Whether it has a ledger for its run.
    fn votes(&self) -> bool {
        self.ledger.as_ref().is_some_and(|ledger| ledger.run == self.run)
    }
}

impl Memory {
    pub(super) fn new(is_impatient: bool) -> Self {
        Self { is_impatient, ..Self::default() }
    }

    /// Who may vote from now on, by looks that were asked for at `asked`.
    fn decide(
        &mut self,
        looks: &[Option<Look>],
        asked: Instant,
        needed: usize,
        guess: Token,
    ) -> Vec<Decision> {
        self.resting.resize(looks.len(), None);
        let ledgers = || looks.iter().flatten().filter_map(|look| look.ledger.as_ref());
        self.longest = ledgers().map(|ledger| ledger.longest).fold(self.longest, Duration::max);
        let all_answered = looks.iter().all(Option::is_some);
        let is_new = ledgers().next().is_none() && !self.has_seen_a_ledger;
        self.has_seen_a_ledger |= !is_new;
        if is_new {
            let indices = 0..if all_answered { looks.len() } else { 0 };
            return indices.map(|index| Decision { index, high: 0, is_a_guess: false }).collect();
        }
        let mut rested = Vec::new();
        for (index, look) in looks.iter().enumerate() {
            let Some(look) = look else { continue };
            if look.votes() {
                self.resting[index] = None;
            } else if self.has_rested(index, look, asked) {
                rested.push(index);
            }
        }
        let voters = looks.iter().flatten().filter(|look| look.votes()).count();
        let all_rested = voters + rested.len() == looks.len();
        let highest = |of: &mut dyn Iterator<Item = &Look>| {
            of.filter_map(|look| look.ledger.as_ref()).map(|ledger| ledger.high).max().unwrap_or(0)
        };
        let decide = |index| {
            if voters >= needed {
                let high = highest(&mut looks.iter().flatten().filter(|look| look.votes()));
                return Some(Decision { index, high, is_a_guess: false });
            }
            let high = highest(&mut looks.iter().flatten()).max(guess);
            (all_answered && all_rested).then_some(Decision { index, high, is_a_guess: true })
        };
        rested.into_iter().filter_map(decide).collect()
    }

    /// Whether every lock has ended that counted on what the master has forgotten.
    fn has_rested(&mut self, index: usize, look: &Look, asked: Instant) -> bool {
        let since = match &self.resting[index] {
            Some((run, since)) if *run == look.run => *since,
            _ => {
                self.resting[index] = Some((RunId::clone(&look.run), clock::now()));
                clock::now()
            }
        };
        // One that has lost its ledger may have been emptied long after its start: then its age says nothing.
        let age = if look.ledger.is_some() { look.uptime } else { Duration::ZERO };
        self.is_impatient
            || asked.saturating_duration_since(since).max(age) >= self.longest + drift(self.longest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    #[expect(clippy::unnecessary_wraps, reason = "a look that was answered, among some that were not")]
    fn look(run: &str, ledger: Option<(&str, Token)>) -> Option<Look> {
        let ledger = ledger.map(|(run, high)| Ledger { run: run.into(), high, longest: LONGEST });
        Some(Look { run: run.into(), uptime: Duration::ZERO, ledger })
    }

    fn rested(memory: &mut Memory, looks: &[Option<Look>], needed: usize) -> Vec<(usize, Token, bool)> {
        let now = clock::now();
        assert_eq!(memory.decide(looks, now, needed, 5_000), [], "nobody has rested at once");
        let later = now + LONGEST + drift(LONGEST) + Duration::from_secs(1);
        let decisions = memory.decide(looks, later, needed, 5_000);
        decisions.into_iter().map(|decision| (decision.index, decision.high, decision.is_a_guess)).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn a_new_namespace_needs_all() {
        let mut looks = vec![look("a", None), look("b", None), None];
        let decide = |looks: &[Option<Look>]| Memory::default().decide(looks, clock::now(), 2, 5_000).len();
        assert_eq!(decide(&looks), 0);
        looks[2] = look("c", None);
        assert_eq!(decide(&looks), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_lost_everything_goes_on_from_what_a_majority_of_others_remembers() {
        let looks = [look("a2", None), look("b", Some(("b", 7))), look("c", Some(("c", 9)))];
        assert_eq!(rested(&mut Memory::default(), &looks, 2), [(0, 9, false)]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_was_restarted_with_old_data_is_asked_to_rest_as_well() {
        let looks = [look("a2", Some(("a", 3))), look("b", Some(("b", 7))), look("c", Some(("c", 9)))];
        assert_eq!(rested(&mut Memory::default(), &looks, 2), [(0, 9, false)]);
        // It has run for long enough already.
        let mut old = looks.clone();
        old[0].as_mut().unwrap().uptime = 2 * LONGEST;
        assert_eq!(Memory::default().decide(&old, clock::now(), 2, 5_000).len(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn too_few_others_vouch_for_nothing_unless_nobody_is_missing() {
        let missing = [look("a2", None), look("b", Some(("b", 7))), None];
        assert_eq!(rested(&mut Memory::default(), &missing, 2), []);
        let there = [look("a2", None), look("b", Some(("b", 7))), look("c2", None)];
        assert_eq!(rested(&mut Memory::default(), &there, 2), [(0, 5_000, true), (2, 5_000, true)]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_has_seen_ledgers_knows_that_the_namespace_is_not_new() {
        let mut memory = Memory::default();
        let known = [look("a", Some(("a", 7))), look("b", Some(("b", 7))), look("c", Some(("c", 7)))];
        assert_eq!(memory.decide(&known, clock::now(), 2, 5_000), []);
        let emptied = [look("a", None), look("b", None), look("c", None)];
        assert_eq!(rested(&mut memory, &emptied, 2).len(), 3);
    }
}
