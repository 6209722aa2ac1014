//! Stamps at hand: what this process knows of stamps that the store watches for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use quick_cache::sync::Cache;
use quick_cache::{DefaultHashBuilder, Lifecycle, OptionsBuilder, UnitWeighter};
use smallvec::SmallVec;

use crate::key::{Key, KeyBytes};
use crate::store::{Stamp, Via};

/// Stamps that are kept at most: each function, each tag and each entry that others are made from has one. About 4 MB.
const MOST: u64 = 16_384;

/// Marks by the stamps' keys. One that is evicted counts as changed.
#[derive(Debug)]
pub(crate) struct Marks {
    marks: Cache<KeyBytes, Arc<Mark>, UnitWeighter, DefaultHashBuilder, Evicted>,
    reserves: bool,
}

/// What is known of one stamp, from the moment it was reserved until it changes. Values that depend on it hold it.
#[derive(Debug, Default)]
pub(crate) struct Mark {
    changed: AtomicBool,
    known: Mutex<Option<Known>>,
}

/// A stamp, and over which connections its changes are told: those over which it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Known {
    pub(crate) stamp: Stamp,
    told: Ways,
}

/// Connections.
pub(crate) type Ways = SmallVec<[Via; 3]>;

/// More connections are not remembered: a pool has fewer.
const MOST_WAYS: usize = 16;

impl Known {
    /// Whether it says something about an answer that came over that connection, and has come before this was looked at.
    pub(crate) fn says_of(&self, answer: Via) -> bool {
        self.told.iter().any(|told| answer.is_in_order_with(*told))
    }

    /// Over what changes of both are told.
    pub(crate) fn told_with(&self, others: &Ways) -> Ways {
        self.told.iter().copied().filter(|way| others.contains(way)).collect()
    }

    pub(crate) fn told(&self) -> &Ways {
        &self.told
    }
}

#[derive(Debug, Clone)]
struct Evicted;

impl Lifecycle<KeyBytes, Arc<Mark>> for Evicted {
    type RequestState = ();

    fn on_evict(&self, (): &mut Self::RequestState, _key: KeyBytes, mark: Arc<Mark>) {
        mark.change();
    }
}

impl Marks {
    pub(super) fn new(reserves: bool) -> Self {
        let capacity = usize::try_from(MOST).unwrap_or(usize::MAX);
        let options = OptionsBuilder::new()
            .estimated_items_capacity(capacity)
            .weight_capacity(MOST)
            .shards(8)
            .build()
            .expect("capacities are given");
        let marks = Cache::with_options(options, UnitWeighter, DefaultHashBuilder::default(), Evicted);
        Self { marks, reserves }
    }

    /// The mark of a stamp, to be asked for before the stamp is read; a new one if there is none that stands.
    pub(crate) fn of(&self, stamp: &Key) -> Arc<Mark> {
        if let Some(mark) = self.marks.get(&stamp.0) {
            if mark.stands() {
                return mark;
            }
            self.marks.remove_if(&stamp.0, |mark| !mark.stands());
        }
        let made =
            self.marks.get_or_insert_with(&stamp.0, || Ok::<_, std::convert::Infallible>(Arc::default()));
        made.unwrap_or_else(|never| match never {})
    }

    pub(super) fn changed(&self, key: &[u8]) {
        if let Some((_, mark)) = self.marks.remove(key)
            && self.reserves
        {
            mark.change();
        }
    }

    pub(super) fn changed_where(&self, matches: impl Fn(&[u8]) -> bool) {
        let matching: Vec<KeyBytes> =
            self.marks.iter().map(|(key, _)| key).filter(|key| matches(key)).collect();
        for key in matching {
            self.changed(&key);
        }
    }

    pub(super) fn all_changed(&self) {
        for (_, mark) in self.marks.drain() {
            mark.change();
        }
    }
}

impl Mark {
    /// What the stamp is; `None` if it must be read.
    pub(crate) fn known(&self) -> Option<Known> {
        let known = self.lock().clone();
        known.filter(|_| self.stands())
    }

    /// Whether nothing has been told of since it was reserved.
    pub(crate) fn stands(&self) -> bool {
        !self.changed.load(Ordering::Acquire)
    }

    /// The stamp was read, after this mark was made, over a connection that tells of its changes.
    pub(crate) fn learn(&self, stamp: Stamp, via: Via) {
        let mut known = self.lock();
        match &mut *known {
            Some(known) if known.stamp == stamp => {
                if !known.told.contains(&via) {
                    known.told.truncate(MOST_WAYS - 1);
                    known.told.push(via);
                }
            }
            // It has changed between two reads, over two connections of which neither has told yet: nobody knows which is
            // the later one.
            Some(_) => self.change(),
            None => *known = Some(Known { stamp, told: std::iter::once(via).collect() }),
        }
    }

    fn change(&self) {
        self.changed.store(true, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_ends_what_was_known_and_what_was_about_to_be() {
        let marks = Marks::new(true);
        let key = Key::of("stamp");
        let known = marks.of(&key);
        known.learn([1; 8], Via::EMBEDDED);
        let at_hand = marks.of(&key).known().expect("it was learnt");
        assert!(at_hand.stamp == [1; 8] && at_hand.says_of(Via::EMBEDDED));
        marks.changed(key.as_bytes());
        assert!(!known.stands() && known.known().is_none());
        // Reserved, and changed before the answer comes.
        let reserved = marks.of(&key);
        assert!(reserved.stands() && reserved.known().is_none());
        marks.all_changed();
        reserved.learn([2; 8], Via::EMBEDDED);
        assert!(reserved.known().is_none());
        assert!(marks.of(&key).known().is_none());
    }

    #[test]
    fn one_that_is_evicted_counts_as_changed() {
        let marks = Marks::new(true);
        let all: Vec<_> = (0..3 * MOST).map(|id| marks.of(&Key::of("stamp").part(&id))).collect();
        let standing = all.iter().filter(|mark| mark.stands()).count() as u64;
        assert!(standing <= MOST && standing > MOST / 2, "{standing}");
    }

    #[test]
    fn one_that_is_read_over_two_connections_says_of_both() {
        let mark = Mark::default();
        let (one, other, third) = (Via::new(), Via::new(), Via::new());
        mark.learn([1; 8], one);
        mark.learn([1; 8], other);
        let known = mark.known().expect("it was learnt");
        assert!(known.says_of(one) && known.says_of(other) && !known.says_of(third));
    }

    #[test]
    fn two_that_differ_are_both_given_up() {
        let marks = Marks::new(true);
        let mark = marks.of(&Key::of("stamp"));
        mark.learn([1; 8], Via::EMBEDDED);
        mark.learn([2; 8], Via::EMBEDDED);
        assert!(mark.known().is_none());
        assert!(marks.of(&Key::of("stamp")).stands(), "another one takes its place");
    }
}
