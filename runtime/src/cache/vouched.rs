//! What was last seen to vouch for an entry of a function: where all its entries depend on the same stamps, the next one is
//! known to be valid by a comparison of bytes.

use std::sync::{PoisonError, RwLock};

use super::at_hand::Marks;
use super::options::Local;
use super::plan::Plan;
use crate::codec::envelope::Envelope;
use crate::local::Ways;
use crate::store::Via;

/// See the module. One for each function.
#[derive(Debug, Default)]
pub(crate) struct Vouched(RwLock<Option<Last>>);

#[derive(Debug)]
struct Last {
    /// The memory of the `Keylatch` that the marks belong to.
    local: u64,
    /// The stamps as an entry holds them, names and values.
    stamps: Box<[u8]>,
    marks: Marks,
    /// Over what the changes of all of them are told.
    told: Ways,
}

impl Last {
    /// Whether it still vouches for entries of that plan's function, in that plan's `Keylatch`.
    fn stands(&self, plan: &Plan) -> bool {
        plan.depends_alike()
            && plan.home.local().is_some_and(|local| local.id() == self.local)
            && self.marks.iter().all(|mark| mark.stands())
    }
}

impl Vouched {
    pub(crate) const fn new() -> Self {
        Self(RwLock::new(None))
    }

    /// Whether what vouched for the last entry still does.
    pub(super) fn stands(&self, plan: &Plan) -> bool {
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        last.as_ref().is_some_and(|last| last.stands(plan))
    }

    /// Whether an entry that came over `via` depends on just the declared stamps, as they are now; what `with` makes of their
    /// marks.
    pub(super) fn of<R>(
        &self,
        plan: &Plan,
        envelope: &Envelope<'_>,
        via: Option<Via>,
        with: impl FnOnce(&Marks) -> R,
    ) -> Option<R> {
        let last = self.0.read().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|last| {
            let strict = plan.local == Local::Off;
            let in_order = || via.is_some_and(|via| last.told.iter().any(|told| via.is_in_order_with(*told)));
            *last.stamps == *envelope.stamps.as_bytes() && (!strict || in_order()) && last.stands(plan)
        })?;
        Some(with(&last.marks))
    }

    /// An entry was found to be valid by these marks, which are all that the function declares.
    pub(super) fn remember(&self, plan: &Plan, envelope: &Envelope<'_>, marks: &Marks) {
        let Some(local) = plan.home.local().filter(|_| plan.depends_alike()) else { return };
        let mut known = marks.iter().map(|mark| mark.known());
        let Some(Some(first)) = known.next() else { return };
        let told = known.try_fold(first.told().clone(), |told, known| Some(known?.told_with(&told)));
        // One of them has changed meanwhile.
        let Some(told) = told else { return };
        let last =
            Last { local: local.id(), stamps: envelope.stamps.as_bytes().into(), marks: marks.clone(), told };
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Some(last);
    }
}
