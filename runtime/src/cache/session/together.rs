//! Looks of those who call while their process loads the same key: together, in a [round](crate::cache::round).

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::{Look, Session};
use crate::cache::at_hand;
use crate::cache::plan::Plan;
use crate::cache::single_flight::Flight;
use crate::error::Result;
use crate::store::Freshness;

/// The load of this key in this process. To look at the embedded store costs nothing, so nobody need wait for others there.
pub(in crate::cache) fn being_loaded(plan: &Plan) -> Option<Arc<Flight>> {
    plan.home.store().connection().and_then(|_| plan.home.flights().of(&plan.key))
}

impl Session<'_> {
    /// Who calls for what this process is loading will hardly find more than that it is. How fresh the look is, too.
    pub(super) async fn first_look(&mut self, freshness: Freshness) -> Result<(Look, Freshness)> {
        match being_loaded(self.plan) {
            Some(flight) => Ok((Box::pin(self.look_together(&flight)).await?, Freshness::Current)),
            None => Ok((self.look(freshness).await?, freshness)),
        }
    }

    /// Looks together with others who wait for that load, unless they need other stamps, or nothing is gained by it.
    pub(super) async fn look_together(&mut self, flight: &Flight) -> Result<Look> {
        let is_worth_a_wait = self.plan.home.store().connection().is_some();
        if !(self.is_plain() && is_worth_a_wait && self.plan.options.timeout.is_none()) {
            return self.look(Freshness::Current).await;
        }
        let had_claimed = flight.stamps.get().is_some();
        let looked = {
            let together = flight.look_together(self.plan.stamps(), || self.read_for_all());
            // All of it has the time that a look-up has.
            self.plan.home.in_time(None, "read", pin!(async { together.await.transpose() })).await?
        };
        let look = match looked {
            Some(look) => look,
            None => self.look(Freshness::Current).await?,
        };
        if had_claimed && look.slot.as_deref() != Some(flight.lease.as_bytes()) {
            flight.is_overtaken.store(true, Ordering::Relaxed);
        }
        Ok(look)
    }

    /// Reads for several callers, of whom nobody is to keep what is read: so the store is not asked to tell of changes.
    async fn read_for_all(&self) -> Result<Look> {
        let stamps = self.stamps();
        self.in_time(Box::pin(at_hand::all(self.plan, &stamps, Freshness::Current))).await
    }
}
