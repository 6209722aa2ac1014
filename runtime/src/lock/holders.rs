//! Who has a lock of the embedded store, and who else may have it at the same time. Pure: the time is given.

use smallvec::SmallVec;

use super::sharing::Sharing;
use super::value::LockValue;
use crate::clock::Moment;

/// Those who have one lock, each until a moment of its own.
#[derive(Debug)]
pub(super) struct Holders {
    /// Of all of them: those of another kind are not let in.
    sharing: Sharing,
    holders: SmallVec<[Holder; 1]>,
}

#[derive(Debug, Clone, Copy)]
struct Holder {
    value: LockValue,
    until: Moment,
}

impl Holders {
    pub(super) fn none() -> Self {
        Self { sharing: Sharing::Alone, holders: SmallVec::new() }
    }

    /// Forgets those whose time is over.
    pub(super) fn purge(&mut self, now: Moment) {
        self.holders.retain(|holder| holder.until > now);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.holders.is_empty()
    }

    /// Whether somebody else may have it now.
    pub(super) fn admit(&self, sharing: Sharing) -> bool {
        match sharing {
            _ if self.holders.is_empty() => true,
            Sharing::Alone => false,
            Sharing::Shared => self.sharing == Sharing::Shared,
            Sharing::Permits(permits) => {
                u32::try_from(self.holders.len()).is_ok_and(|holders| holders < permits)
            }
        }
    }

    /// Until when `value` has it; nothing if it has not.
    pub(super) fn until(&self, value: LockValue) -> Option<Moment> {
        self.holders.iter().find(|holder| holder.value == value).map(|holder| holder.until)
    }

    /// Lets `value` have it until then, or longer or shorter than before.
    pub(super) fn set(&mut self, value: LockValue, sharing: Sharing, until: Moment) {
        match self.holders.iter_mut().find(|holder| holder.value == value) {
            Some(holder) => holder.until = until,
            None => self.holders.push(Holder { value, until }),
        }
        self.sharing = sharing;
    }

    /// Whether `value` had it.
    pub(super) fn remove(&mut self, value: LockValue) -> bool {
        let before = self.holders.len();
        self.holders.retain(|holder| holder.value != value);
        self.holders.len() < before
    }

    /// When somebody else may have it at the latest, if nobody prolongs what is his: a permit when the first ends, anything else
    /// when the last does.
    pub(super) fn free_at(&self, sharing: Sharing) -> Option<Moment> {
        let ends = self.holders.iter().map(|holder| holder.until);
        if matches!(sharing, Sharing::Permits(_)) { ends.min() } else { ends.max() }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(seconds: u64) -> Moment {
        Moment::from(Duration::from_secs(seconds))
    }

    #[test]
    fn kinds_are_told_apart() {
        let [one, two] = [(); 2].map(|()| LockValue::new());
        let mut holders = Holders::none();
        assert!(holders.admit(Sharing::Alone) && holders.admit(Sharing::Shared));
        holders.set(one, Sharing::Shared, at(5));
        assert!(!holders.admit(Sharing::Alone) && holders.admit(Sharing::Shared));
        holders.set(two, Sharing::Shared, at(9));
        assert_eq!(holders.free_at(Sharing::Alone), Some(at(9)));
        holders.purge(at(5));
        assert_eq!((holders.until(one), holders.until(two)), (None, Some(at(9))));
        assert!(holders.remove(two) && !holders.remove(two));
        holders.set(one, Sharing::Alone, at(5));
        assert!(!holders.admit(Sharing::Shared) && !holders.admit(Sharing::Alone));
    }

    #[test]
    fn permits_are_counted() {
        let [one, two] = [(); 2].map(|()| LockValue::new());
        let mut holders = Holders::none();
        holders.set(one, Sharing::Permits(2), at(5));
        assert!(holders.admit(Sharing::Permits(2)) && !holders.admit(Sharing::Permits(1)));
        holders.set(two, Sharing::Permits(2), at(9));
        holders.set(one, Sharing::Permits(2), at(7));
        assert!(!holders.admit(Sharing::Permits(2)));
        assert_eq!(holders.free_at(Sharing::Permits(2)), Some(at(7)));
    }
}
