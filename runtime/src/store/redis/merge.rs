//! Merged reads: the keys of those who ask at the same time in one `MGET`, those that they share once.
//!
//! Large values are not merged: all of a reply must be there before any of it is handed on.

use std::collections::HashMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use smallvec::SmallVec;

use super::{millis, spread};
use crate::clock::{self, Instant};
use crate::connection::{Answered, Connection, Gatherer, Sends, Server, Ticket};
use crate::error::{Error, ErrorKind, Result};
use crate::key::Key;
use crate::store::{Freshness, Reading, Via};

/// Callers that travel together at most: also a thousand who ask for one key.
const MOST_CALLERS: usize = 1_024;
/// Keys of one caller above which it is sent alone.
const MOST_KEYS: usize = 32;
/// Bytes that one merged reply should not exceed, judged by the replies before it.
const BYTES_OF_A_REPLY: usize = 256 << 10;
/// Bytes for one caller above which nothing is gained by merging (measured: 10 KB breaks even).
const LARGE: usize = 8 << 10;

/// Sends the reads of one connection.
#[derive(Debug)]
pub(super) struct Merger {
    reads: Gatherer<Reads>,
    merges: bool,
    /// How long cached functions wait that say nothing else, in milliseconds.
    patience: u64,
}

/// See [`Sends`].
#[derive(Debug)]
struct Reads {
    connection: Connection,
    /// A moving average of the bytes that a caller gets.
    typical: AtomicUsize,
    /// How long the answer to a batch is waited for, in milliseconds: as long as the most patient of its callers would.
    patience: AtomicU64,
}

#[derive(Debug)]
struct Asked {
    keys: SmallVec<[Key; 1]>,
    how: How,
}

/// Of whom, and how.
#[derive(Debug, Clone, Copy)]
struct How {
    server: Server,
    watched: bool,
}

/// For each caller, where each of its keys is among those of a batch.
type Places = Vec<SmallVec<[usize; 4]>>;

/// What came for a batch.
struct Came {
    values: Vec<Result<Option<Bytes>>>,
    /// For each caller where its keys are among them, where it is not the caller's own place.
    places: Option<Places>,
    via: Option<Via>,
}

/// The read of one key, handed in.
pub(crate) struct Glance(Ticket<Reads>);

/// What a [`Glance`] saw. The bytes stay with those of the callers that it travelled with.
pub(crate) struct Seen(Answered<Reads>);

impl How {
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
        let limits = connection.limits();
        let (merges, patience) = (limits.merge_reads, millis(limits.patience));
        let reads = Reads { connection, typical: AtomicUsize::new(0), patience: AtomicU64::new(patience) };
        Self { reads: Gatherer::new(reads), merges, patience }
    }

    /// From now on, a caller may wait for that long, by a timer of its own.
    pub(super) fn bear(&self, limit: Duration) {
        let patience = &self.reads.sends().patience;
        if patience.load(Ordering::Relaxed) < millis(limit) {
            patience.fetch_max(millis(limit), Ordering::Relaxed);
        }
    }

    /// Reads the keys, at once or together with others. What is read was there after the call began.
    pub(super) async fn read(&self, keys: &[&Key], freshness: Freshness) -> Result<Reading> {
        let how = How::of(freshness);
        let reads = self.reads.sends();
        if keys.len() > MOST_KEYS || !self.merges_now() {
            let (values, via) = spread::read(&reads.connection, how.server, how.watched, keys).await?;
            if keys.len() <= MOST_KEYS {
                // A larger batch is not what a caller typically gets.
                reads.learn(values.iter().flatten().map(Bytes::len).sum());
            }
            return Ok(Reading { values: values.into_iter().collect(), via, left: None });
        }
        let keys = keys.iter().copied().cloned().collect();
        let answered = self.reads.hand_in(Asked { keys, how }).await?;
        let came = answered.answers();
        let values = match &came.places {
            Some(places) => places[answered.place].iter().map(|&place| came.values[place].clone()).collect(),
            None => came.values[answered.place].clone().map(|value| std::iter::once(value).collect()),
        };
        Ok(Reading { values: values?, via: came.via, left: None })
    }

    /// Hands in the read of one key, which is merged with others where that is of use. It has no timer of its own: the batch
    /// has.
    pub(super) fn glance(&self, key: &Key, freshness: Freshness) -> Option<Glance> {
        let hurried = self.reads.sends().patience.load(Ordering::Relaxed) == self.patience;
        if !hurried {
            return None;
        }
        let asked = Asked { keys: std::iter::once(key.clone()).collect(), how: How::of(freshness) };
        Some(Glance(if self.merges_now() { self.reads.hand_in(asked) } else { self.reads.apart(asked) }))
    }

    fn merges_now(&self) -> bool {
        self.merges && self.reads.sends().typical.load(Ordering::Relaxed) <= LARGE
    }
}

impl Future for Glance {
    type Output = Result<Seen>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        Pin::new(&mut self.0).poll(cx).map(|answered| answered.map(Seen))
    }
}

impl Seen {
    /// What the slot held.
    pub(crate) fn value(&self) -> Result<Option<&Bytes>> {
        let came = self.0.answers();
        let place = came.places.as_ref().map_or(self.0.place, |places| places[self.0.place][0]);
        came.values[place].as_ref().map(Option::as_ref).map_err(Clone::clone)
    }

    /// Over what it came.
    pub(crate) fn via(&self) -> Option<Via> {
        self.0.answers().via
    }
}

impl Sends for Reads {
    type Request = Asked;
    type Answers = Came;

    fn most(&self) -> usize {
        (BYTES_OF_A_REPLY / self.typical.load(Ordering::Relaxed).max(1)).clamp(1, MOST_CALLERS)
    }

    async fn send(&self, batch: Vec<Asked>, since: Instant) -> Came {
        let (asked, places) = once_each(&batch);
        let how =
            batch.iter().map(|asked| asked.how).reduce(How::with).unwrap_or(How::of(Freshness::Current));
        let read = spread::read_each(&self.connection, how.server, how.watched, &asked);
        let limit = Duration::from_millis(self.patience.load(Ordering::Relaxed));
        let Some((values, via)) = clock::within_since(since, limit, pin!(read)).await else {
            let error = Error::new(ErrorKind::Timeout, "read").with("limit", format_args!("{limit:?}"));
            let values = std::iter::repeat_with(|| Err(error.clone())).take(asked.len()).collect();
            return Came { values, places, via: None };
        };
        let bytes: usize = values.iter().flatten().flatten().map(Bytes::len).sum();
        self.learn(bytes / batch.len().max(1));
        Came { values, places, via }
    }
}

impl Reads {
    /// Moves the average an eighth of the way; a race between two moves loses one of them, which does no harm.
    fn learn(&self, bytes: usize) {
        let typical = self.typical.load(Ordering::Relaxed);
        self.typical.store(typical - typical / 8 + bytes / 8, Ordering::Relaxed);
    }
}

/// The keys of a batch, and for each caller where its own are among them. Keys of callers that ask for several, such as the
/// stamps that they share, are asked for once, and so is one that all of them want; to look for others costs more than it saves.
fn once_each(batch: &[Asked]) -> (Vec<&Key>, Option<Places>) {
    if batch.iter().all(|asked| asked.keys.len() == 1) {
        let all: Vec<&Key> = batch.iter().map(|asked| &asked.keys[0]).collect();
        return match &*all {
            [first, others @ ..] if !others.is_empty() && others.iter().all(|key| key == first) => {
                (vec![*first], Some(vec![SmallVec::from_slice(&[0]); batch.len()]))
            }
            _ => (all, None),
        };
    }
    let mut all: Vec<&Key> = Vec::with_capacity(batch.len() + 4);
    let mut known: HashMap<&Key, usize> = HashMap::with_capacity(batch.len() + 4);
    let places = batch
        .iter()
        .map(|asked| {
            let place = |key| {
                *known.entry(key).or_insert_with(|| {
                    all.push(key);
                    all.len() - 1
                })
            };
            asked.keys.iter().map(place).collect()
        })
        .collect();
    (all, Some(places))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_keys_are_asked_for_once_and_answers_keep_their_order() {
        let key = |name: &str| Key::of(name);
        let waiting = |names: &[&str]| Asked {
            keys: names.iter().map(|name| key(name)).collect(),
            how: How::of(Freshness::Current),
        };
        let batch = [waiting(&["a", "stamp"]), waiting(&["b", "stamp"]), waiting(&["a", "stamp", "tag"])];
        let (asked, places) = once_each(&batch);
        assert_eq!(asked, [&key("a"), &key("stamp"), &key("b"), &key("tag")]);
        assert_eq!(
            places.expect("several").iter().map(|places| places.to_vec()).collect::<Vec<_>>(),
            [vec![0, 1], vec![2, 1], vec![0, 1, 3]]
        );
    }
}
