//! Notices a connection over which nothing comes any more, though nobody has closed it: the host is gone, or something in
//! between has forgotten the connection. The kernel would need a quarter of an hour.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use crate::clock::{self, Instant};

/// How long commands may go without any answer at all before the connection is replaced. What still waits on the old one
/// may still be answered there.
const SILENCE: Duration = Duration::from_secs(1);

/// A command that was given up sooner than this says nothing about the connection: its caller was dropped.
const TELLING: Duration = Duration::from_millis(250);

/// Since when nothing has come.
#[derive(Debug, Default)]
pub(super) struct Pulse(Mutex<Option<Instant>>);

/// A command on its way.
pub(super) struct Sent<'a> {
    pulse: &'a Pulse,
    at: Instant,
    telling: bool,
}

impl Pulse {
    /// A command is being sent.
    pub(super) fn sent(&self) -> Sent<'_> {
        let at = clock::now();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(at);
        Sent { pulse: self, at, telling: false }
    }

    fn reset(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Whether commands have been sent and nothing has come for too long.
    pub(super) fn is_silent(&self) -> bool {
        let unanswered_since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
        unanswered_since.is_some_and(|since| clock::now() - since > SILENCE)
    }
}

impl Sent<'_> {
    /// Something came.
    pub(super) fn answered(mut self) {
        self.telling = true;
        self.pulse.reset();
    }
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        if !self.telling && clock::now() - self.at < TELLING {
            self.pulse.reset();
        }
    }
}
