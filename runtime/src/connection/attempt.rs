//! A command on its way. One that is given up after a while in which nothing has come speaks against the server.

use std::sync::Arc;
use std::time::Duration;

use super::endpoint::Inner;
use super::link::Live;
use crate::clock::{self, Instant};

/// A command that was given up sooner than this says nothing about the server: its caller was dropped.
const TELLING: Duration = Duration::from_millis(250);

pub(super) struct Attempt<'a> {
    endpoint: &'a Arc<Inner>,
    /// `None` for a dial, or over REST.
    over: Option<(usize, Arc<Live>)>,
    began: Instant,
    /// The same as connections count it.
    begun_micros: u64,
    answered_before: u64,
    done: bool,
}

impl<'a> Attempt<'a> {
    /// A dial, or a request that needs no connection.
    pub(super) fn new(endpoint: &'a Arc<Inner>) -> Self {
        Self {
            endpoint,
            over: None,
            began: clock::now(),
            begun_micros: 0,
            answered_before: endpoint.answered(),
            done: false,
        }
    }

    pub(super) fn over(
        endpoint: &'a Arc<Inner>,
        began: Instant,
        begun_micros: u64,
        index: usize,
        live: Arc<Live>,
    ) -> Self {
        let answered_before = live.traffic.begin(begun_micros);
        Self { endpoint, over: Some((index, live)), began, begun_micros, answered_before, done: false }
    }

    /// Something came; over which connection.
    pub(super) fn answered(self) -> Option<(usize, Arc<Live>)> {
        self.ended(true)
    }

    /// It has ended, by an answer or with its connection. What broke was not answered: counted as both, no more than half of all
    /// commands would ever have failed.
    pub(super) fn ended(mut self, is_answer: bool) -> Option<(usize, Arc<Live>)> {
        self.done = true;
        if let Some((_, live)) = &self.over {
            if is_answer {
                live.traffic.answer(self.begun_micros);
            } else {
                live.traffic.give_up();
            }
        }
        self.over.take()
    }
}

impl Drop for Attempt<'_> {
    fn drop(&mut self) {
        if self.done {
            return;
        }
        let now = clock::now();
        let waited = now - self.began;
        let telling = TELLING.min(self.endpoint.limits().command_timeout.mul_f64(0.9));
        let is_silent = match &self.over {
            Some((_, live)) => {
                live.traffic.give_up();
                // What was sent before may have been answered meanwhile, right before the server fell silent.
                live.traffic.answered() == self.answered_before || live.traffic.silent_for() >= telling
            }
            // Requests over REST do not wait for one another: any answer shows that the server is there.
            None => self.endpoint.answered() == self.answered_before,
        };
        if waited >= telling && is_silent {
            let over = self.over.as_ref().map(|(index, live)| (*index, &**live));
            self.endpoint.unanswered(over, self.began, now);
        }
    }
}
