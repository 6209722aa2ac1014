//! How long a request waits before it is repeated.

use std::time::Duration;

use crate::{clock, random};

/// The bound of the first pause, which doubles from one to the next, and of any.
const FIRST: Duration = Duration::from_millis(10);
const LONGEST: Duration = Duration::from_millis(500);

/// Waits before a request is repeated that has been repeated so often.
pub(crate) async fn pause_before(repetitions: u32) {
    clock::sleep(pause(repetitions, random::fraction())).await;
}

/// The pause before a repetition: that `fraction` of its bound, drawn anew for each (full jitter; M. Brooker, *Exponential
/// Backoff And Jitter*, 2015), so that callers who failed together do not return together.
fn pause(repetitions: u32, fraction: f64) -> Duration {
    FIRST.saturating_mul(1 << repetitions.min(10)).min(LONGEST).mul_f64(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_are_anything_below_a_bound_that_doubles() {
        for (repetitions, bound) in [(0, 10), (1, 20), (2, 40), (5, 320), (6, 500), (7, 500), (u32::MAX, 500)]
        {
            let bound = Duration::from_millis(bound);
            assert_eq!(pause(repetitions, 1.0), bound);
            let mut drawn: Vec<_> = (0..1_000).map(|_| pause(repetitions, random::fraction())).collect();
            drawn.sort_unstable();
            assert!(drawn[0] < bound / 10 && drawn[999] > bound.mul_f64(0.9), "{repetitions}");
            // Off by eight times what the mean of so many draws is off by chance.
            let mean = drawn.iter().sum::<Duration>() / 1_000;
            assert!((bound.mul_f64(0.42)..bound.mul_f64(0.58)).contains(&mean), "{repetitions}: {mean:?}");
        }
    }
}
