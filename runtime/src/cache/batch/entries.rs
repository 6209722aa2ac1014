//! The records of one call: one entry each, however often its id was given.

use std::collections::HashMap;

use smallvec::SmallVec;

use crate::cache::plan::Plan;
use crate::key::Key;

/// What is common to all records, and what each has of its own.
#[derive(Debug, Clone)]
pub struct Entries<K> {
    /// Its key is not used.
    pub(super) plan: Plan,
    /// The distinct ids in their order.
    pub(super) ids: Vec<K>,
    /// The entry of each.
    pub(super) items: Vec<Item>,
    /// For each id that was given, which of the distinct ones it is.
    pub(super) places: Vec<usize>,
}

/// The entry of one record.
#[derive(Debug, Clone)]
pub(super) struct Item {
    pub(super) key: Key,
    /// Stamps beside those of the plan.
    pub(super) tags: SmallVec<[Key; 1]>,
}

/// The ids of a slice, to be kept.
#[must_use]
pub fn owned<K: Clone>(ids: &[K]) -> Vec<K> {
    ids.to_vec()
}

/// The missing ids in the collection that the body takes.
#[must_use]
pub fn collected<K, C: FromIterator<K>>(ids: Vec<K>) -> C {
    ids.into_iter().collect()
}

/// One run of a body. It owns what it needs, so that nothing of the closure is borrowed.
pub fn once<T, F: Future<Output = T>>(body: impl FnOnce() -> F) -> F {
    body()
}

/// Names the entry of each id by `name`, which puts the key and the record's own tags into the plan. Ids of one key are one
/// record.
pub fn entries<K>(
    plan: Plan,
    given: impl IntoIterator<Item = K>,
    mut name: impl FnMut(&mut Plan, &K),
) -> Entries<K> {
    let mut entries = Entries { ids: Vec::new(), items: Vec::new(), places: Vec::new(), plan };
    let mut named = entries.plan.clone();
    let common = named.declared().len();
    let mut known: HashMap<Key, usize> = HashMap::new();
    for id in given {
        named.redeclare(common);
        name(&mut named, &id);
        let next = entries.items.len();
        let place = *known.entry(named.key.clone()).or_insert(next);
        entries.places.push(place);
        if place == next {
            entries.ids.push(id);
            let tags = named.declared()[common..].iter().cloned().collect();
            entries.items.push(Item { key: named.key.clone(), tags });
        }
    }
    entries
}
