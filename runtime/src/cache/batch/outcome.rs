//! What a batch may return, taken apart into records and put together from them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use super::entries::Entries;
use crate::cache::outcome::shape;

/// A collection of records, keyed by the ids that the function is given.
#[diagnostic::on_unimplemented(
    message = "a batch of ids of the type `{K}` does not return `{Self}`",
    label = "not keyed by `{K}`, or its ids cannot be keys",
    note = "return `HashMap<{K}, {P}>` or `BTreeMap<{K}, {P}>`, or `Vec<Option<{P}>>` in the order of the ids",
    note = "ids of a `HashMap` are `Eq + Hash`, those of a `BTreeMap` are `Ord`; records of a `Vec` are `Clone`, for an id may be given twice"
)]
pub trait Records<K, P>: Sized {
    /// The records of `ids`, in their order; the whole if it cannot be told which is whose.
    ///
    /// # Errors
    /// The collection itself.
    fn split(self, ids: &[K]) -> Result<Vec<Option<P>>, Self>;

    /// The collection of `records`, which are those of `ids`; `places` tells for each id that was given which of them it is.
    fn gather(ids: Vec<K>, records: Vec<Option<P>>, places: &[usize]) -> Self;
}

#[diagnostic::do_not_recommend]
impl<K: Eq + Hash, V, S: BuildHasher + Default> Records<K, V> for HashMap<K, V, S> {
    fn split(mut self, ids: &[K]) -> Result<Vec<Option<V>>, Self> {
        Ok(ids.iter().map(|id| self.remove(id)).collect())
    }

    fn gather(ids: Vec<K>, records: Vec<Option<V>>, _places: &[usize]) -> Self {
        present(ids, records).collect()
    }
}

#[diagnostic::do_not_recommend]
impl<K: Ord, V> Records<K, V> for BTreeMap<K, V> {
    fn split(mut self, ids: &[K]) -> Result<Vec<Option<V>>, Self> {
        Ok(ids.iter().map(|id| self.remove(id)).collect())
    }

    fn gather(ids: Vec<K>, records: Vec<Option<V>>, _places: &[usize]) -> Self {
        present(ids, records).collect()
    }
}

#[diagnostic::do_not_recommend]
impl<K, V: Clone> Records<K, V> for Vec<Option<V>> {
    fn split(self, ids: &[K]) -> Result<Self, Self> {
        if self.len() == ids.len() { Ok(self) } else { Err(self) }
    }

    fn gather(_ids: Vec<K>, records: Self, places: &[usize]) -> Self {
        if places.len() == records.len() {
            return records;
        }
        places.iter().map(|&place| records[place].clone()).collect()
    }
}

fn present<K, V>(ids: Vec<K>, records: Vec<Option<V>>) -> impl Iterator<Item = (K, V)> {
    ids.into_iter().zip(records).filter_map(|(id, record)| Some((id, record?)))
}

/// How records are told apart and put together, for code that is compiled once for all collections.
#[derive(Debug)]
pub struct Gathering<K, R, P> {
    pub(super) split: Split<K, R, P>,
    pub(super) gather: Gather<K, R, P>,
}

type Split<K, R, P> = fn(R, &[K]) -> Result<Vec<Option<P>>, R>;
type Gather<K, R, P> = fn(Vec<K>, Vec<Option<P>>, &[usize]) -> R;

/// The way of the collection `R`, which the ids must be the keys of: the one place where that is asked for.
#[must_use]
pub fn keyed<R: Records<K, P>, K, P>(_entries: &Entries<K>) -> Gathering<K, R, P> {
    Gathering { split: R::split, gather: R::gather }
}

/// A return type of a batch, seen as one of the [shapes](shape).
pub trait BatchOutcome<Shape>: Sized {
    /// What the function answers with when all goes well.
    type Value;

    /// What it answers with.
    ///
    /// # Errors
    /// The outcome itself, if it is an error.
    fn into_value(self) -> Result<Self::Value, Self>;

    /// The function's result from what it answers with.
    fn from_value(value: Self::Value) -> Self;
}

impl<R> BatchOutcome<shape::Plain> for R {
    type Value = R;

    fn into_value(self) -> Result<R, Self> {
        Ok(self)
    }

    fn from_value(value: R) -> Self {
        value
    }
}

impl<R, E> BatchOutcome<shape::Fallible> for Result<R, E> {
    type Value = R;

    fn into_value(self) -> Result<R, Self> {
        self.map_err(Err)
    }

    fn from_value(value: R) -> Self {
        Ok(value)
    }
}

/// What the body of a batch can be given each time it runs.
#[diagnostic::on_unimplemented(
    message = "a batch may run its body more than once, and `{Self}` cannot be cloned for it",
    label = "is not `Clone`",
    note = "take it by reference, or derive `Clone` for it"
)]
pub trait Again: Sized {
    /// The same once more.
    #[must_use]
    fn again(&self) -> Self;
}

#[diagnostic::do_not_recommend]
impl<T: Clone> Again for T {
    fn again(&self) -> T {
        self.clone()
    }
}

/// An argument for one run of the body.
#[must_use]
pub fn again<T: Again>(argument: &T) -> T {
    argument.again()
}
