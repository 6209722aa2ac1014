//! Waits for the loads of others: of this process, whose result is shared, or of another one, whose slot is watched.

use std::pin::pin;
use std::time::Duration;

use super::{Look, Right, Session, Step};
use crate::cache::decision::{Finding, Prefix, judge};
use crate::cache::single_flight::{Ending, Flight};
use crate::clock;
use crate::error::Result;
use crate::store::{Freshness, Lease, StampState, StampStates, Store, Wake};

/// The first and the longest pause between looks at a lease of another process. A push usually comes first.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(250);

/// What waiting came to.
pub(super) enum Shared {
    Step(Step),
    Again(Look),
}

impl Session<'_> {
    /// Somebody loads: shares the load if it runs in this process and nothing it depends on has changed since its claim,
    /// else waits until the slot changes.
    pub(super) async fn share(&mut self, look: &Look, lease: Lease) -> Result<Shared> {
        self.miss();
        if let Some(flight) = self.plan.home.flights().holding(&self.plan.key, lease) {
            // The lease is in the slot, but its leader has not been told yet what stamps it found.
            let Some(then) = flight.stamps.get() else {
                return Ok(Shared::Again(self.look_together(&flight).await?));
            };
            if *then == self.present(look) {
                return Ok(match self.follow(&flight, look, false).await? {
                    Some(step) => Shared::Step(step),
                    None => Shared::Again(self.look(Freshness::Current).await?),
                });
            }
            // These stamps may be from before the claim, which made them: they are read on another node than the slot, or
            // the server is too old to make them with the claim.
            let look = self.look(Freshness::Current).await?;
            if look.slot.as_deref() != Some(lease.as_bytes()) || *then == self.present(&look) {
                return Ok(Shared::Again(look));
            }
            // What it depends on was invalidated, so its result will be of no use: take the slot over.
            let over = Some(Prefix::from(lease.as_bytes()));
            return Ok(match self.claim(&look, over).await? {
                Some(step) => Shared::Step(step),
                None => Shared::Again(self.look(Freshness::Current).await?),
            });
        }
        self.plan.function.count_wait();
        let wake = self.plan.home.store().wake(&self.plan.key);
        self.wait_for_change(&wake, lease).await
    }

    /// The declared stamps that a look found.
    fn present(&self, look: &Look) -> StampStates {
        self.declared(look).iter().filter_map(|(_, state)| *state).collect()
    }

    async fn wait_for_change(&mut self, wake: &Wake, lease: Lease) -> Result<Shared> {
        let mut pause = FIRST_LOOK;
        loop {
            let changed = wake.changed();
            let look = self.look_watched(wake).await?;
            if look.slot.as_deref() != Some(lease.as_bytes()) {
                return Ok(Shared::Again(look));
            }
            if let Some(step) = self.out_of_time() {
                return Ok(Shared::Step(step));
            }
            tokio::select! {
                () = changed => {}
                () = clock::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    async fn look_watched(&self, wake: &Wake) -> Result<Look> {
        let keys = self.keys();
        let read = pin!(self.plan.home.store().read_watched(&keys, wake));
        let mut values = self.plan.home.in_time(self.plan.options.timeout, "read and watch", read).await?;
        let stamps = values.drain(1..).map(|value| StampState::of(value.as_deref())).collect();
        Ok(Look {
            slot: values.pop().flatten(),
            stamps,
            via: None,
            keep: None,
            at: self.plan.home.flights().moment(),
        })
    }

    /// Waits for a load of this process. `late` says that it began after this call did, so that whatever it used is new
    /// enough; otherwise an entry with dependencies of its own is checked by another look.
    pub(super) async fn follow(&mut self, flight: &Flight, look: &Look, late: bool) -> Result<Option<Step>> {
        self.plan.function.count_wait();
        let deadline = self.deadline();
        let mut expired = pin!(clock::sleep_until(deadline));
        let ending = tokio::select! {
            ending = flight.ended() => ending,
            () = &mut expired => return Ok(Some(self.alone(Right::Alone("waited too long")))),
        };
        match ending {
            Ending::Loaded(entry) => match judge(Some(&entry), &[], self.expected) {
                Finding::Value { others } if late || others.len() == self.plan.stamps().len() => {
                    self.found(&entry, self.own_stamp_at(look));
                    Ok(Some(Step::Found(entry)))
                }
                _ => Ok(None),
            },
            Ending::NotForStoring => Ok(Some(self.alone(Right::Alone("not for storing")))),
            Ending::Abandoned | Ending::UnderWay => Ok(None),
        }
    }
}
