//! What calls cost while a breaker is open: every kind of them, many times.

use std::time::Duration;

use keylatch::CachedCall;

use super::witness::{AT_ONCE, Service, Took, timed, value};

/// The most that a call may typically cost then: some 6 µs were measured.
const TYPICAL: Duration = Duration::from_micros(100);
/// The most for all but one of a hundred.
const NEARLY_ALL: Duration = Duration::from_millis(1);

const KINDS: [&str; 6] = ["get", "set", "pipeline", "invalidation", "lock", "cached"];

/// How long each of many calls took, by kind and in rising order.
pub(super) struct Refusals([Vec<Duration>; KINDS.len()]);

impl Refusals {
    /// So many calls of each kind, in turn. A cached function answers from what was computed meanwhile; the rest is
    /// refused.
    pub(super) async fn of(service: &Service, calls: usize) -> Self {
        let mut all: [Vec<Duration>; KINDS.len()] = [const { Vec::new() }; KINDS.len()];
        for _ in 0..calls {
            let took = [
                refused(service.get()).await,
                refused(service.set()).await,
                refused(service.pipeline()).await,
                refused(async { value(service, 8).invalidate().await }).await,
                refused(service.job()).await,
                timed(async { value(service, 7).await }).await.1,
            ];
            for (times, took) in all.iter_mut().zip(took) {
                times.push(took);
            }
        }
        for times in &mut all {
            times.sort_unstable();
        }
        Self(all)
    }

    /// Next to nothing, typically.
    pub(super) fn are_cheap(&self, name: &str) {
        for (kind, times) in KINDS.iter().zip(&self.0) {
            let median = times[times.len() / 2];
            eprintln!("{name}: {kind} in {median:?}");
            // A lock is asked for, looked after and given back.
            let typical = if *kind == "lock" { 3 * TYPICAL } else { TYPICAL };
            assert!(median < typical, "{name}: {kind}: {median:?}");
        }
    }

    /// Never so much that anybody would notice; and whether nearly all of them cost little. Where others want the
    /// processor as well, more than one of a hundred may be interrupted.
    pub(super) fn are_nearly_all_cheap(&self, name: &str) -> bool {
        let mut nearly_all = Duration::ZERO;
        for (kind, times) in KINDS.iter().zip(&self.0) {
            let (most, slowest) = (times[times.len() * 99 / 100], times[times.len() - 1]);
            eprintln!("{name}: 99 % of {kind} within {most:?}, all within {slowest:?}");
            assert!(slowest < AT_ONCE, "{name}: {kind}: {slowest:?}");
            nearly_all = nearly_all.max(most);
        }
        nearly_all < NEARLY_ALL
    }
}

async fn refused<T, E>(call: impl Future<Output = Result<T, E>>) -> Duration {
    let Took(outcome, took) = timed(call).await;
    assert!(outcome.is_err(), "the server is of no use");
    took
}
