//! Several connections to one server, so that one huge reply does not hold up everything.
//!
//! Commands stay on one connection as long as answers keep coming over it: sent together they cost far less than spread
//! (measured: spreading each command over five takes a third of the throughput). A connection over which nothing has come
//! for a moment is left to what already waits there, and the next one has its turn. Where very many commands are under way,
//! each thread has a connection of its own: then what threads share costs more than what is sent together saves.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::link::{Link, Live};
use crate::clock::{self, Instant};
use crate::threads;

/// Commands under way on one connection from which on threads part. (Measured with two threads and 512 callers: a seventh more
/// throughput; with 64 callers they are better together.)
const CROWDED: u64 = 160;

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
        let index = self.current.load(Ordering::Relaxed);
        let current = self.links[index].current().map(|live| (index, live));
        match current {
            Some((index, live)) if is_answering(&live, micros) => {
                if live.traffic.under_way() < CROWDED {
                    return Some((index, live));
                }
                Some(self.of_this_thread(index, micros).unwrap_or((index, live)))
            }
            current => self.next(index, current, micros),
        }
    }

    /// Where many commands are under way, threads have connections of their own, so that none waits for the others' cache
    /// lines, and answers are read by several.
    fn of_this_thread(&self, index: usize, micros: u64) -> Option<(usize, Arc<Live>)> {
        let place = (index + threads::place()) % self.links.len();
        let live = self.links[place].current()?;
        is_answering(&live, micros).then_some((place, live))
    }

    /// The next one that answers. Where all are held up, it is the server that is slow: then the present one is as good as any,
    /// and what is sent together costs less.
    fn next(
        &self,
        index: usize,
        current: Option<(usize, Arc<Live>)>,
        micros: u64,
    ) -> Option<(usize, Arc<Live>)> {
        let (mut answering, mut healthy, mut there) = (None, None, None);
        let mut is_missing = current.is_none();
        for place in (1..self.links.len()).map(|offset| (index + offset) % self.links.len()) {
            match self.links[place].current() {
                None => is_missing = true,
                Some(live) if live.is_suspect() => there = there.or(Some((place, live))),
                Some(live) if live.traffic.is_held_up(micros) => healthy = healthy.or(Some((place, live))),
                Some(live) => {
                    answering = Some((place, live));
                    break;
                }
            }
        }
        let (at_present, suspect) = match current {
            Some((_, live)) if live.is_suspect() => (None, Some((index, live))),
            current => (current, None),
        };
        let picked = answering.or(at_present).or(healthy).or(suspect).or(there);
        if let Some((next, _)) = &picked {
            self.current.store(*next, Ordering::Relaxed);
            // Where there is none at all, the caller dials one, and waits for it.
            if is_missing {
                self.fill_up();
            }
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

/// Whether answers come over it as they should.
fn is_answering(live: &Live, micros: u64) -> bool {
    !live.is_suspect() && !live.traffic.is_held_up(micros)
}
