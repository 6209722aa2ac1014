//! How long the tests of locks run: moments in every run, and as long as is asked for in the long ones.

use std::time::Duration;

/// `KEYLATCH_LOCK_SECONDS`: how long each test of the long runs takes.
pub(crate) fn long() -> Option<Duration> {
    let seconds = std::env::var("KEYLATCH_LOCK_SECONDS").ok()?;
    Some(Duration::from_secs_f64(seconds.parse().expect("KEYLATCH_LOCK_SECONDS is a number")))
}

/// So long, or as long as is asked for.
pub(crate) fn at_least(short: Duration) -> Duration {
    long().unwrap_or(short).max(short)
}
