//! Several connections to one server, so that one huge reply does not hold up everything.
//!
//! Commands stay on one connection as long as answers keep coming over it: sent together they cost far less than spread
//! (measured: spreading each command over five takes a third of the throughput). A connection over which nothing has come
//! for a moment is left to what already waits there, and the next one has its turn.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::link::{Link, Live};
use crate::clock::{self, Instant};

#[derive(Debug)]
pub(super) struct Pool {
    links: Box<[Link]>,
    /// The one that is used at present.
    current: AtomicUsize,
    /// What the times in [`Traffic`] count from.
    epoch: Instant,
}

impl Pool {
    pub(super) fn new(links: Box<[Link]>) -> Self {
        Self { links, current: AtomicUsize::new(0), epoch: clock::now() }
    }

    pub(super) fn links(&self) -> &[Link] {
        &self.links
    }

    /// The connection that commands go over at that time, and its place; `None` if there is none at all.
    pub(super) fn pick(&self, micros: u64) -> Option<(usize, Arc<Live>)> {
        if let [only] = &*self.links {
            return only.current().map(|live| (0, live));
        }
        let current = self.current.load(Ordering::Relaxed);
        if let Some(live) = self.links[current].current()
            && !live.is_suspect()
            && !live.traffic.is_held_up(micros)
        {
            return Some((current, live));
        }
        self.next(current, micros)
    }

    /// The next one that answers; else the next that is there. Dials what is missing, behind the caller's back.
    fn next(&self, current: usize, micros: u64) -> Option<(usize, Arc<Live>)> {
        let others = (1..=self.links.len()).map(|offset| (current + offset) % self.links.len());
        let there: Vec<(usize, Arc<Live>)> =
            others.filter_map(|index| self.links[index].current().map(|live| (index, live))).collect();
        let healthy = |(_, live): &&(usize, Arc<Live>)| !live.is_suspect();
        let answering = |(_, live): &&(usize, Arc<Live>)| !live.traffic.is_held_up(micros);
        let picked = there
            .iter()
            .filter(healthy)
            .find(answering)
            .or_else(|| there.iter().find(healthy))
            .or_else(|| there.first())
            .cloned();
        if let Some((index, _)) = &picked {
            self.current.store(*index, Ordering::Relaxed);
            self.fill_up();
        }
        picked
    }

    /// Dials what is missing, behind the caller's back.
    pub(super) fn fill_up(&self) {
        for link in self.links.iter().filter(|link| link.is_missing()) {
            drop(link.dial());
        }
    }

    pub(super) fn micros(&self, at: Instant) -> u64 {
        u64::try_from((at - self.epoch).as_micros()).unwrap_or(u64::MAX)
    }
}
