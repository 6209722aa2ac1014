//! When to try again after votes were refused or split: full jitter (M. Brooker, *Exponential Backoff And Jitter*, 2015), with
//! a tie-break, so that contenders who keep splitting the votes do not go on doing so.

use std::time::Duration;

use super::votes::Refusal;

/// The bound of the first pause, and of any.
const FIRST: Duration = Duration::from_millis(4);
const LONGEST: Duration = Duration::from_millis(200);

/// The pause before the next try, the `tries`-th, where a round trip takes so long. `luck` is in `0.0..1.0`.
///
/// Of contenders who have split the votes, exactly one had that of the lowest-numbered master that takes part: it tries
/// again within a round trip, and the others not before two.
pub(crate) fn pause(refusal: &Refusal, tries: u32, round_trip: Duration, luck: f64) -> Duration {
    if refusal.goes_first() {
        return round_trip.min(LONGEST).mul_f64(luck);
    }
    let bound = (FIRST.max(2 * round_trip) * 2_u32.saturating_pow(tries.min(16))).min(LONGEST);
    let jittered = bound.mul_f64(luck);
    let pause = (2 * round_trip).min(LONGEST) + jittered;
    // Whoever holds it may be dead: then it ends by itself at a known time.
    refusal.left.map_or(pause, |left| pause.min(left + jittered / 4))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lock::quorum::votes::{MasterVote, NoVote};

    fn refusal(votes: &[Result<(), NoVote>]) -> Refusal {
        let vote = |vote: &Result<(), NoVote>| MasterVote { server: String::new(), vote: vote.clone() };
        Refusal { votes: votes.iter().map(vote).collect(), needed: 2, left: None, open: 0 }
    }

    #[test]
    fn who_has_the_lowest_master_that_takes_part_goes_first() {
        let round_trip = Duration::from_millis(2);
        let first = refusal(&[Err(NoVote::Resting), Ok(()), Err(NoVote::Held)]);
        let second = refusal(&[Err(NoVote::Resting), Err(NoVote::Held), Ok(())]);
        for tries in 0..20 {
            assert!(pause(&first, tries, round_trip, 0.999) < round_trip);
            assert!(pause(&second, tries, round_trip, 0.0) >= 2 * round_trip);
            assert!(pause(&second, tries, round_trip, 0.999) <= LONGEST + 2 * round_trip);
        }
    }

    #[test]
    fn nobody_waits_long_beyond_the_life_of_a_dead_holder() {
        let mut held = refusal(&[Err(NoVote::Held), Err(NoVote::Held), Err(NoVote::Held)]);
        held.left = Some(Duration::from_millis(20));
        assert!(pause(&held, 10, Duration::from_millis(1), 0.999) <= Duration::from_millis(70));
    }
}
