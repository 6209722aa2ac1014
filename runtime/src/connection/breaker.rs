//! A circuit breaker: after enough failures a server is not asked any more, until a probe of its own has been answered.
//!
//! Closed, open and half open as in M. Nygard, *Release It!* (2007). The probe is one call, made by a task and never by a
//! caller, so callers fail at once from the moment it opens until the server answers again.

use std::sync::atomic::{AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;

use crate::clock::{self, Instant};
use crate::error::{Error, ErrorKind};
use crate::telemetry;

/// When a breaker opens.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct BreakerLimits {
    /// Failures among the calls of a window, from 0 to 1, that are too many.
    pub(crate) failure_rate: f64,
    /// Calls that a window must have before its rate means anything.
    pub(crate) minimum_calls: u32,
    /// How long calls are counted together.
    pub(crate) window: Duration,
}

impl Default for BreakerLimits {
    fn default() -> Self {
        Self { failure_rate: 0.5, minimum_calls: 20, window: Duration::from_secs(10) }
    }
}

/// The states of a circuit breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum BreakerState {
    /// The server is asked.
    Closed,
    /// The server is not asked; commands fail at once.
    Open,
    /// The server is asked by one probe; commands fail at once.
    HalfOpen,
}

/// What a circuit breaker has seen.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct BreakerStatus {
    /// Its state.
    pub state: BreakerState,
    /// How often it has opened since the start.
    pub opened: u64,
    /// How often it has closed again.
    pub closed: u64,
    /// Commands that were answered, since the counts last began anew.
    pub calls: u64,
    /// Commands that failed, since the counts last began anew: no connection, no answer in time, or a server that is
    /// loading or cut off from its primary. An error about the command itself is an answer.
    pub failures: u32,
}

const CLOSED: u8 = 0;
const OPEN: u8 = 1;
const HALF_OPEN: u8 = 2;

#[derive(Debug)]
pub(super) struct Breaker {
    server: String,
    limits: BreakerLimits,
    state: AtomicU8,
    failures: AtomicU32,
    opened: AtomicU64,
    closed: AtomicU64,
    slow: Mutex<Slow>,
}

#[derive(Debug)]
struct Slow {
    window_began: Instant,
    /// How many commands had been answered when it began. They are counted where they are sent: an answer costs the breaker
    /// nothing.
    answered_before: u64,
    cause: Option<Error>,
}

impl Breaker {
    pub(super) fn new(server: String, limits: BreakerLimits) -> Self {
        Self {
            server,
            limits,
            state: AtomicU8::new(CLOSED),
            failures: AtomicU32::new(0),
            opened: AtomicU64::new(0),
            closed: AtomicU64::new(0),
            slow: Mutex::new(Slow { window_began: clock::now(), answered_before: 0, cause: None }),
        }
    }

    fn slow(&self) -> MutexGuard<'_, Slow> {
        self.slow.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state.load(Ordering::Acquire) == CLOSED
    }

    /// Why the server is not asked.
    pub(super) fn refusal(&self) -> Error {
        let error = Error::new(ErrorKind::Unavailable, "send")
            .with("server", &self.server)
            .with("breaker", "open")
            .remedy("it is asked again by itself as soon as a probe is answered");
        match &self.slow().cause {
            Some(cause) => error.because(cause.clone()),
            None => error,
        }
    }

    /// A command failed in a way that speaks against the server, which has answered so many until now. Opens when too many
    /// fail.
    pub(super) fn failed(&self, answered: u64, cause: impl FnOnce() -> Error) -> Change {
        let now = clock::now();
        let mut slow = self.slow();
        if now - slow.window_began > self.limits.window {
            self.begin_window(&mut slow, now, answered);
        }
        let failures = self.failures.fetch_add(1, Ordering::Relaxed) + 1;
        let answers = answered.saturating_sub(slow.answered_before);
        drop(slow);
        let calls = u32::try_from(answers).unwrap_or(u32::MAX).saturating_add(failures);
        let too_many = f64::from(failures) >= self.limits.failure_rate * f64::from(calls);
        if calls >= self.limits.minimum_calls && too_many { self.trip(cause) } else { Change::None }
    }

    fn begin_window(&self, slow: &mut Slow, now: Instant, answered: u64) {
        slow.window_began = now;
        slow.answered_before = answered;
        self.failures.store(0, Ordering::Relaxed);
    }

    /// The server is known to be gone: opens at once.
    pub(super) fn trip(&self, cause: impl FnOnce() -> Error) -> Change {
        let mut slow = self.slow();
        if self.state.compare_exchange(CLOSED, OPEN, Ordering::AcqRel, Ordering::Acquire).is_err() {
            return Change::None;
        }
        let cause = cause();
        self.opened.fetch_add(1, Ordering::Relaxed);
        telemetry::breaker_opened(&self.server, &cause);
        slow.cause = Some(cause);
        Change::Opened
    }

    /// The probe is on its way.
    pub(super) fn half_open(&self) {
        // Refused if it has closed meanwhile.
        if self.state.compare_exchange(OPEN, HALF_OPEN, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            telemetry::breaker_half_open(&self.server);
        }
    }

    /// The probe was not answered.
    pub(super) fn reopen(&self, cause: Error) {
        let mut slow = self.slow();
        if self.state.compare_exchange(HALF_OPEN, OPEN, Ordering::AcqRel, Ordering::Acquire).is_ok() {
            telemetry::breaker_reopened(&self.server, &cause);
        }
        slow.cause = Some(cause);
    }

    /// The probe was answered.
    pub(super) fn close(&self, answered: u64) {
        let mut slow = self.slow();
        if self.state.swap(CLOSED, Ordering::AcqRel) != CLOSED {
            slow.cause = None;
            self.begin_window(&mut slow, clock::now(), answered);
            self.closed.fetch_add(1, Ordering::Relaxed);
            telemetry::breaker_closed(&self.server);
        }
    }

    pub(super) fn opened(&self) -> u64 {
        self.opened.load(Ordering::Relaxed)
    }

    pub(super) fn status(&self, answered: u64) -> BreakerStatus {
        let state = match self.state.load(Ordering::Acquire) {
            CLOSED => BreakerState::Closed,
            HALF_OPEN => BreakerState::HalfOpen,
            _ => BreakerState::Open,
        };
        BreakerStatus {
            state,
            opened: self.opened.load(Ordering::Relaxed),
            closed: self.closed.load(Ordering::Relaxed),
            calls: answered.saturating_sub(self.slow().answered_before),
            failures: self.failures.load(Ordering::Relaxed),
        }
    }
}

/// Whether a failure has opened the breaker, so that somebody must see to the probe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub(super) enum Change {
    Opened,
    None,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn breaker(minimum_calls: u32) -> Breaker {
        let limits = BreakerLimits { minimum_calls, ..BreakerLimits::default() };
        Breaker::new("test".to_owned(), limits)
    }

    fn cause() -> Error {
        Error::new(ErrorKind::Timeout, "read")
    }

    #[tokio::test]
    async fn opens_at_the_rate_and_not_before_the_minimum() {
        let breaker = breaker(4);
        assert_eq!(breaker.failed(0, cause), Change::None);
        assert_eq!(breaker.failed(0, cause), Change::None);
        assert!(breaker.is_closed());
        assert_eq!(breaker.failed(1, cause), Change::Opened);
        assert_eq!(breaker.status(1).state, BreakerState::Open);
        assert!(breaker.refusal().to_string().contains("no answer within"), "the cause is told");
    }

    #[tokio::test]
    async fn stays_closed_below_the_rate() {
        let breaker = breaker(4);
        for round in 1..=100 {
            assert_eq!(breaker.failed(2 * round, cause), Change::None);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn counts_begin_anew_with_each_window() {
        let breaker = breaker(4);
        for _ in 0..3 {
            assert_eq!(breaker.failed(0, cause), Change::None);
        }
        clock::sleep(Duration::from_secs(11)).await;
        assert_eq!(breaker.failed(0, cause), Change::None);
        assert_eq!(breaker.status(0).failures, 1);
    }

    #[tokio::test]
    async fn closes_after_a_probe_and_counts_its_turns() {
        let breaker = breaker(4);
        assert_eq!(breaker.trip(cause), Change::Opened);
        assert_eq!(breaker.trip(cause), Change::None, "one prober is enough");
        breaker.half_open();
        assert_eq!(breaker.status(0).state, BreakerState::HalfOpen);
        breaker.reopen(cause());
        assert_eq!(breaker.status(0).state, BreakerState::Open);
        breaker.half_open();
        breaker.close(7);
        let status = breaker.status(9);
        assert_eq!((status.state, status.opened, status.closed), (BreakerState::Closed, 1, 1));
        assert_eq!((status.calls, status.failures), (2, 0));
    }
}
