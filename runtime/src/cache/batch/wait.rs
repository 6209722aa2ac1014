//! Waiting for the records that others load: of this process by their flights, of other processes until their leases have gone.

use std::pin::pin;
use std::time::Duration;

use futures_util::future::select_all;

use super::session::{Round, Session, State};
use crate::cache::decision::{Finding, judge};
use crate::cache::single_flight::Ending;
use crate::clock::{self, Instant};
use crate::store::{Lease, Store, Wake};

/// How long a caller waits for the loads of others before it loads for itself, where no `load_timeout` is given.
const WAIT_LIMIT: Duration = Duration::from_secs(30);
/// The first and the longest pause between looks at leases of other processes. A push usually comes first.
const FIRST_LOOK: Duration = Duration::from_millis(10);
const LONGEST_LOOK: Duration = Duration::from_millis(250);
/// Slots whose changes are waited for at once; the timer sees to the others.
const MOST_WATCHED: usize = 64;

impl<'a> Session<'a> {
    /// Waits for the loads of this process that were joined.
    pub(super) async fn follow(&mut self, round: &mut Round<'a>) {
        let deadline = self.deadline();
        let items: Vec<usize> = self.open.keys().copied().collect();
        for item in items {
            let Some(open) = self.open.get_mut(&item) else { continue };
            if !matches!(open.state, State::Following { .. }) {
                continue;
            }
            let State::Following { flight, late, own } = std::mem::take(&mut open.state) else { continue };
            let mut expired = pin!(clock::sleep_until(deadline));
            let ending = tokio::select! {
                ending = flight.ended() => ending,
                () = &mut expired => {
                    self.alone(item, "waited too long");
                    continue;
                }
            };
            match ending {
                Ending::Loaded(entry) => {
                    let valid = matches!(
                        judge(Some(&entry), &[], self.expected),
                        Finding::Value { others }
                            if late || others.len() == self.stamps.declared(item).len()
                    );
                    if valid {
                        self.found(item, entry, own, round);
                    }
                }
                Ending::NotForStoring => self.alone(item, "not for storing"),
                Ending::Abandoned | Ending::UnderWay => {}
            }
        }
    }

    /// Waits until one of the leases of other processes has gone.
    pub(super) async fn wait_for_change(&mut self) {
        let waiting: Vec<(usize, Lease)> = self
            .open
            .iter()
            .filter_map(|(&item, open)| match open.state {
                State::Elsewhere(lease) => Some((item, lease)),
                _ => None,
            })
            .take(MOST_WATCHED)
            .collect();
        let of: Vec<usize> = waiting.iter().map(|(item, _)| *item).collect();
        let wakes: Vec<Wake> =
            of.iter().map(|&item| self.plan.home.store().wake(&self.items[item].key)).collect();
        let mut pause = FIRST_LOOK;
        loop {
            // Interest begins here, before the look.
            let changed = select_all(wakes.iter().map(|wake| Box::pin(wake.changed())));
            let looks = match self.looker().look_watched(&of, &wakes[0]).await {
                Ok(looks) => looks,
                Err(error) => return self.failed(&error),
            };
            let gone: Vec<usize> = looks
                .iter()
                .zip(&waiting)
                .filter(|(look, (_, lease))| look.slot.as_deref() != Some(lease.as_bytes()))
                .map(|(look, _)| look.item)
                .collect();
            if !gone.is_empty() {
                // The others are most likely gone, too.
                for open in self.open.values_mut().filter(|open| matches!(open.state, State::Elsewhere(_))) {
                    open.state = State::Unknown;
                }
                return;
            }
            if clock::now() >= self.deadline() {
                return self.alone_if(|state| matches!(state, State::Elsewhere(_)), "waited too long");
            }
            tokio::select! {
                _ = changed => {}
                () = clock::sleep(pause) => {}
            }
            pause = (pause * 2).min(LONGEST_LOOK);
        }
    }

    pub(super) fn deadline(&mut self) -> Instant {
        let limit = self.plan.options.load_timeout.unwrap_or(WAIT_LIMIT);
        *self.deadline.get_or_insert_with(|| clock::now() + limit)
    }
}
