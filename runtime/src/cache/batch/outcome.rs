//! What a batch may return, taken apart into records and put together from them.

use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasher, Hash};

use crate::cache::outcome::shape;

/// A collection of records, keyed by the ids that the function is given.
#[diagnostic::on_unimplemented(
    message = "a batch of ids of the type `{K}` does not return `{Self}`",
    label = "not keyed by `{K}`, or its ids cannot be keys",
    note = "return `HashMap<{K}, _>` or `BTreeMap<{K}, _>`, or `Vec<Option<_>>` in the order of the ids",
    note = "ids of a `HashMap` are `Eq + Hash`, those of a `BTreeMap` are `Ord`; records of a `Vec` are `Clone`, for an id may be given twice"
)]
pub trait Records<K>: Sized {
    /// One of them.
    type Record;

    /// The records of `ids`, in their order; the whole if it cannot be told which is whose.
    ///
    /// # Errors
    /// The collection itself.
    fn split(self, ids: &[K]) -> Result<Vec<Option<Self::Record>>, Self>;

    /// The collection of `records`, which are those of `ids`; `places` tells for each id that was given which of them it is.
    fn gather(ids: Vec<K>, records: Vec<Option<Self::Record>>, places: &[usize]) -> Self;
}

#[diagnostic::do_not_recommend]
impl<K: Eq + Hash, V, S: BuildHasher + Default> Records<K> for HashMap<K, V, S> {
    type Record = V;

    fn split(mut self, ids: &[K]) -> Result<Vec<Option<V>>, Self> {
        Ok(ids.iter().map(|id| self.remove(id)).collect())
    }

    fn gather(ids: Vec<K>, records: Vec<Option<V>>, _places: &[usize]) -> Self {
        present(ids, records).collect()
    }
}

#[diagnostic::do_not_recommend]
impl<K: Ord, V> Records<K> for BTreeMap<K, V> {
    type Record = V;

    fn split(mut self, ids: &[K]) -> Result<Vec<Option<V>>, Self> {
        Ok(ids.iter().map(|id| self.remove(id)).collect())
    }

    fn gather(ids: Vec<K>, records: Vec<Option<V>>, _places: &[usize]) -> Self {
        present(ids, records).collect()
    }
}

#[diagnostic::do_not_recommend]
impl<K, V: Clone> Records<K> for Vec<Option<V>> {
    type Record = V;

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

/// A return type of a batch, seen as one of the [shapes](shape).
pub trait BatchOutcome<Shape, K>: Sized {
    /// What the function answers with when all goes well.
    type Value;
    /// What one entry holds.
    type Record;

    /// The records of `ids`, in their order.
    ///
    /// # Errors
    /// The whole where there are none to be told apart, and why.
    fn split(self, ids: &[K]) -> Result<Vec<Option<Self::Record>>, (Self, NoRecords)>;

    /// See [`Records::gather`].
    fn gather(ids: Vec<K>, records: Vec<Option<Self::Record>>, places: &[usize]) -> Self::Value;

    /// The function's result from what it answers with.
    fn from_value(value: Self::Value) -> Self;
}

/// Why an outcome has no records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoRecords {
    /// It is an error.
    Failed,
    /// Their number is not that of the ids.
    Mismatched,
}

#[diagnostic::do_not_recommend]
impl<K, R: Records<K>> BatchOutcome<shape::Plain, K> for R {
    type Value = R;
    type Record = R::Record;

    fn split(self, ids: &[K]) -> Result<Vec<Option<R::Record>>, (Self, NoRecords)> {
        Records::split(self, ids).map_err(|records| (records, NoRecords::Mismatched))
    }

    fn gather(ids: Vec<K>, records: Vec<Option<R::Record>>, places: &[usize]) -> R {
        <R as Records<K>>::gather(ids, records, places)
    }

    fn from_value(value: R) -> Self {
        value
    }
}

#[diagnostic::do_not_recommend]
impl<K, R: Records<K>, E> BatchOutcome<shape::Fallible, K> for Result<R, E> {
    type Value = R;
    type Record = R::Record;

    fn split(self, ids: &[K]) -> Result<Vec<Option<R::Record>>, (Self, NoRecords)> {
        match self {
            Ok(records) => records.split(ids).map_err(|records| (Ok(records), NoRecords::Mismatched)),
            Err(error) => Err((Err(error), NoRecords::Failed)),
        }
    }

    fn gather(ids: Vec<K>, records: Vec<Option<R::Record>>, places: &[usize]) -> R {
        R::gather(ids, records, places)
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
