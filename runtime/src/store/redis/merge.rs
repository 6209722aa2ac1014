//! Merged reads: while one read is under way, later ones gather and travel together, each key once.
//!
//! Under concurrency the cost of a read is the client's work per command, not the server's: one `MGET` for sixty callers
//! costs little more than one for a single caller, and the stamps that they share are read once. A caller that is alone is
//! sent at once. Large values are not merged: all of a reply must be there before any of it is handed on.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use smallvec::SmallVec;
use tokio::sync::oneshot;

use super::spread;
use crate::connection::{Connection, Server};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::store::{Freshness, Reading, Values};

/// Callers that travel together at most: also a thousand who ask for one key.
const MOST_CALLERS: usize = 1_024;
/// Keys of one caller above which it is sent alone.
const MOST_KEYS: usize = 32;
/// Bytes that one merged reply should not exceed, judged by the replies before it.
const BYTES_OF_A_REPLY: usize = 256 << 10;
/// Bytes for one caller above which nothing is gained by merging (measured: 10 KB breaks even).
const LARGE: usize = 8 << 10;

/// Sends the reads of one connection.
#[derive(Debug, Clone)]
pub(super) struct Merger(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    connection: Connection,
    merges: bool,
    gathering: Mutex<Gathering>,
    /// A moving average of the bytes that a caller gets.
    typical: AtomicUsize,
}

#[derive(Debug, Default)]
struct Gathering {
    /// Whether a read is under way, whose end sends those who wait.
    under_way: bool,
    waiting: Vec<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    keys: SmallVec<[Key; 4]>,
    asked: Asked,
    answer: oneshot::Sender<Result<Reading>>,
}

/// Of whom, and how.
#[derive(Debug, Clone, Copy)]
struct Asked {
    server: Server,
    watched: bool,
}

impl Asked {
    fn of(freshness: Freshness) -> Self {
        match freshness {
            Freshness::Current => Self { server: Server::Familiar, watched: false },
            Freshness::MayLag => Self { server: Server::Replica, watched: false },
            Freshness::Watched => Self { server: Server::Familiar, watched: true },
        }
    }

    /// What serves both: one that may not lag is enough, and so is one that watches.
    fn with(self, other: Self) -> Self {
        let lags = self.server == Server::Replica && other.server == Server::Replica;
        Self {
            server: if lags { Server::Replica } else { Server::Familiar },
            watched: self.watched || other.watched,
        }
    }
}

impl Merger {
    pub(super) fn new(connection: Connection) -> Self {
        let (gathering, typical) = (Mutex::default(), AtomicUsize::new(0));
        let merges = connection.limits().merge_reads;
        Self(Arc::new(Shared { connection, merges, gathering, typical }))
    }

    /// Reads the keys, at once or together with others. What is read was there after the call began.
    ///
    /// A caller that is dropped disturbs nobody: whoever is sent alone hands its turn on, and gathered reads are sent by a
    /// task of their own.
    pub(super) async fn read(&self, keys: &[&Key], freshness: Freshness) -> Result<Reading> {
        let asked = Asked::of(freshness);
        if keys.len() > MOST_KEYS {
            // A batch of its own: not merged, and not what a caller typically gets.
            let (values, via) = spread::read(&self.0.connection, asked.server, asked.watched, keys).await?;
            return Ok(Reading { values: values.into_iter().collect(), via, left: None });
        }
        if !self.0.merges || self.0.typical.load(Ordering::Relaxed) > LARGE {
            return self.0.read_alone(asked, keys).await;
        }
        let answer = {
            let mut gathering = self.0.gathering();
            if gathering.under_way {
                let (answer, answered) = oneshot::channel();
                gathering.waiting.push(Waiting {
                    keys: keys.iter().copied().cloned().collect(),
                    asked,
                    answer,
                });
                Some(answered)
            } else {
                gathering.under_way = true;
                None
            }
        };
        if let Some(answered) = answer {
            // Nobody answers when the runtime is being shut down, and the sending task with it.
            return answered.await.unwrap_or_else(|_| Err(Error::new(ErrorKind::Unavailable, "read")));
        }
        let _turn = Turn(&self.0);
        self.0.read_alone(asked, keys).await
    }
}

/// The turn of a caller that was sent alone; its end sends those who gathered meanwhile.
struct Turn<'a>(&'a Arc<Shared>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let gathered = Gathered { shared: Arc::clone(self.0), holds_turn: true };
        // Without a runtime nothing can be sent any more: dropping `gathered` tells those who wait.
        if let Some(gathered) = gathered.unless_nobody_waits()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn(gathered.send_all());
        }
    }
}

/// The turn of the task that sends those who gathered. However the task ends, also with its runtime, nobody is left
/// waiting: those who were not answered are told by their channels, and the next caller is sent at once.
struct Gathered {
    shared: Arc<Shared>,
    holds_turn: bool,
}

impl Drop for Gathered {
    fn drop(&mut self) {
        if self.holds_turn {
            let mut gathering = self.shared.gathering();
            gathering.under_way = false;
            gathering.waiting.clear();
        }
    }
}

impl Gathered {
    /// Gives the turn back if nobody waits, in one step with looking.
    fn unless_nobody_waits(mut self) -> Option<Self> {
        let mut gathering = self.shared.gathering();
        if gathering.waiting.is_empty() {
            gathering.under_way = false;
            drop(gathering);
            self.holds_turn = false;
            return None;
        }
        drop(gathering);
        Some(self)
    }

    /// Sends batch after batch until nobody waits.
    async fn send_all(mut self) {
        loop {
            // Those who were just answered ask again at once: give them the chance to be part of this batch.
            tokio::task::yield_now().await;
            match self.unless_nobody_waits() {
                Some(gathered) => self = gathered,
                None => return,
            }
            let batch = self.next_batch();
            if !batch.is_empty() {
                self.shared.send(batch).await;
            }
        }
    }

    fn next_batch(&self) -> Vec<Waiting> {
        let mut gathering = self.shared.gathering();
        // Those who have given up need no answer.
        gathering.waiting.retain(|waiting| !waiting.answer.is_closed());
        let most =
            (BYTES_OF_A_REPLY / self.shared.typical.load(Ordering::Relaxed).max(1)).clamp(1, MOST_CALLERS);
        let count = gathering.waiting.len().min(most);
        gathering.waiting.drain(..count).collect()
    }
}

impl Shared {
    fn gathering(&self) -> MutexGuard<'_, Gathering> {
        self.gathering.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn read_alone(&self, asked: Asked, keys: &[&Key]) -> Result<Reading> {
        let (values, via) = spread::read(&self.connection, asked.server, asked.watched, keys).await?;
        self.learn(values.iter().flatten().map(Bytes::len).sum());
        Ok(Reading { values: values.into_iter().collect(), via, left: None })
    }

    async fn send(&self, batch: Vec<Waiting>) {
        let (asked, places) = once_each(&batch);
        let how = batch.iter().map(|waiting| waiting.asked).reduce(Asked::with).unwrap_or(batch[0].asked);
        let (values, via) = spread::read_each(&self.connection, how.server, how.watched, &asked).await;
        let bytes: usize = values.iter().flatten().flatten().map(Bytes::len).sum();
        self.learn(bytes / batch.len());
        for (waiting, places) in batch.into_iter().zip(places) {
            let own: Result<Values> = places.into_iter().map(|place| values[place].clone()).collect();
            // A caller that is gone is not interested.
            let _ = waiting.answer.send(own.map(|values| Reading { values, via, left: None }));
        }
    }

    /// Moves the average an eighth of the way; a race between two moves loses one of them, which does no harm.
    fn learn(&self, bytes: usize) {
        let typical = self.typical.load(Ordering::Relaxed);
        self.typical.store(typical - typical / 8 + bytes / 8, Ordering::Relaxed);
    }
}

/// The keys of a batch, each once, and for each caller where its own are among them.
fn once_each(batch: &[Waiting]) -> (Vec<&Key>, Vec<SmallVec<[usize; 4]>>) {
    let mut asked: Vec<&Key> = Vec::with_capacity(batch.len() + 4);
    let mut known: HashMap<&Key, usize> = HashMap::with_capacity(batch.len() + 4);
    let places = batch
        .iter()
        .map(|waiting| {
            let place = |key| {
                *known.entry(key).or_insert_with(|| {
                    asked.push(key);
                    asked.len() - 1
                })
            };
            waiting.keys.iter().map(place).collect()
        })
        .collect();
    (asked, places)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_keys_are_asked_for_once_and_answers_keep_their_order() {
        let key = |name: &str| Key::of(name);
        let waiting = |names: &[&str]| Waiting {
            keys: names.iter().map(|name| key(name)).collect(),
            asked: Asked::of(Freshness::Current),
            answer: oneshot::channel().0,
        };
        let batch = [waiting(&["a", "stamp"]), waiting(&["b", "stamp"]), waiting(&["a", "stamp", "tag"])];
        let (asked, places) = once_each(&batch);
        assert_eq!(asked, [&key("a"), &key("stamp"), &key("b"), &key("tag")]);
        assert_eq!(
            places.iter().map(|places| places.to_vec()).collect::<Vec<_>>(),
            [vec![0, 1], vec![2, 1], vec![0, 1, 3]]
        );
    }
}
