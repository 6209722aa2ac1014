//! When an entry is renewed: somewhat before its time, the earlier the longer its load takes.

use std::time::Duration;

use crate::codec::envelope::Times;

/// How eagerly: at 1, the moment lies one load time early on average, which Vattani et al. found to be the best
/// choice.
const BETA: f64 = 1.0;
/// `-ln` of the smallest number that is drawn. A load further away than this many load times is never due, so most hits
/// need neither a random number nor a logarithm.
const FURTHEST: f64 = 37.0;

/// The part of the time from the writing to the due moment in which an entry can be renewed early. The more readers draw, the
/// earlier is the first of them; the source is to be asked no more than a third more often for it.
const EARLY_PART: u64 = 4;

/// Whether a reader renews an entry now: it draws a moment `load * BETA * -ln(draw)` before the entry is due, and does so if
/// that is past, and if three quarters of the time until then are. `draw` yields a random number in `0.0..1.0`.
///
/// Of many readers one draws a moment that is early enough for its load to be done when the entry would be due, so
/// nobody meets one that is. This is `XFetch`: A. Vattani, F. Chierichetti, K. Lowenstein, "Optimal Probabilistic Cache
/// Stampede Prevention", Proceedings of the VLDB Endowment 8(8), 2015.
pub(super) fn due(now_ms: u64, times: Times, draw: impl FnOnce() -> f64) -> bool {
    let ahead_ms = times.fresh_until_ms.saturating_sub(now_ms);
    if ahead_ms == 0 {
        return true;
    }
    let span_ms = times.fresh_until_ms.saturating_sub(times.written_at_ms);
    let unit = times.load.as_secs_f64() * BETA;
    let ahead = Duration::from_millis(ahead_ms).as_secs_f64();
    if ahead > unit * FURTHEST || ahead_ms > span_ms / EARLY_PART {
        return false;
    }
    // In `0.0..1.0`, the complement is never zero.
    unit * -(1.0 - draw()).ln() >= ahead
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOAD: Duration = Duration::from_millis(100);

    /// Of an entry that was written at 0 and is due after 10 s.
    fn due_at(now_ms: u64, load: Duration, draw: impl FnOnce() -> f64) -> bool {
        let times = Times { written_at_ms: 0, fresh_until_ms: 10_000, expires_at_ms: 60_000, load };
        due(now_ms, times, draw)
    }

    #[test]
    fn it_is_due_at_its_time_whatever_is_drawn() {
        for draw in [0.0, 0.5, 1.0 - f64::EPSILON] {
            assert!(due_at(10_000, LOAD, || draw));
            assert!(due_at(10_001, Duration::ZERO, || draw));
        }
    }

    #[test]
    fn what_loads_at_once_is_never_early() {
        assert!(!due_at(9_999, Duration::ZERO, || 1.0 - f64::EPSILON));
    }

    #[test]
    fn nothing_is_drawn_far_from_its_time() {
        assert!(!due_at(0, LOAD, || panic!("drawn")));
        assert!(!due_at(6_299, LOAD, || panic!("drawn")));
    }

    #[test]
    fn a_slow_load_does_not_make_it_early_without_end() {
        let slow = Duration::from_secs(100);
        assert!(!due_at(7_499, slow, || 1.0 - f64::EPSILON));
        assert!(due_at(7_500, slow, || 0.5));
    }

    #[test]
    fn the_moment_is_where_the_formula_puts_it() {
        // -ln(1 - 0.6321) is 1 and a little: one load time ahead.
        assert!(due_at(9_901, LOAD, || 0.6322));
        assert!(!due_at(9_899, LOAD, || 0.6320));
        assert!(!due_at(9_999, LOAD, || 0.0));
    }

    #[test]
    fn on_average_it_is_one_load_time_early() {
        // The share of readers that would renew `n` load times ahead is e^-n.
        let share = |ahead_ms: u64| {
            let mut random = fastrand::Rng::with_seed(7);
            let early = (0..20_000).filter(|_| due_at(10_000 - ahead_ms, LOAD, || random.f64())).count();
            f64::from(u32::try_from(early).unwrap()) / 20_000.0
        };
        for (ahead_ms, expected) in [(1, 0.990), (50, 0.607), (100, 0.368), (300, 0.050)] {
            let found = share(ahead_ms);
            assert!((found - expected).abs() < 0.02, "{ahead_ms} ms ahead: {found}, not {expected}");
        }
    }
}
