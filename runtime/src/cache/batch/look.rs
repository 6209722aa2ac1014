//! One look at the slots and the stamps of many records.

use std::collections::HashMap;
use std::pin::pin;

use bytes::Bytes;
use futures_util::future::try_join_all;
use smallvec::SmallVec;

use super::entries::Item;
use crate::cache::decision::{Expected, Finding, judge};
use crate::cache::plan::Plan;
use crate::cache::single_flight::Moment;
use crate::error::Result;
use crate::key::{Key, stamp_of};
use crate::store::{Freshness, Stamp, StampState, Store, Wake};

/// Slots that are read in one command: more would hold a server up for others.
const SLOTS_AT_ONCE: usize = 500;

/// The stamps that the records depend on, each once.
pub(super) struct Stamps {
    pub(super) keys: Vec<Key>,
    /// For each record, which of them it declares.
    declared: Vec<SmallVec<[usize; 4]>>,
    /// For each record the stamp of its own entry, where an outer body is to depend on it.
    own: Vec<Option<usize>>,
}

impl Stamps {
    pub(super) fn of(plan: &Plan, items: &[Item], with_own: bool) -> Self {
        let mut stamps = Self { keys: plan.stamps().to_vec(), declared: Vec::new(), own: Vec::new() };
        let common = plan.stamps().len();
        let mut known: HashMap<Key, usize> = HashMap::new();
        for item in items {
            let own_tags = item.tags.iter().map(|tag| {
                *known.entry(tag.clone()).or_insert_with(|| {
                    stamps.keys.push(tag.clone());
                    stamps.keys.len() - 1
                })
            });
            stamps.declared.push((0..common).chain(own_tags).collect());
        }
        for item in items {
            stamps.own.push(with_own.then(|| {
                stamps.keys.push(stamp_of(&item.key));
                stamps.keys.len() - 1
            }));
        }
        stamps
    }

    pub(super) fn declared(&self, item: usize) -> &[usize] {
        &self.declared[item]
    }

    pub(super) fn own(&self, item: usize) -> Option<usize> {
        self.own[item]
    }

    /// All that one record needs.
    pub(super) fn used_by(&self, item: usize) -> impl Iterator<Item = usize> {
        self.declared[item].iter().copied().chain(self.own[item])
    }
}

/// What was seen of one record.
#[derive(Clone)]
pub(super) struct Look {
    pub(super) item: usize,
    pub(super) slot: Option<Bytes>,
    /// Of the stamps that it declares.
    pub(super) declared: SmallVec<[Option<StampState>; 4]>,
    pub(super) own: Option<StampState>,
    /// When it was complete, in the order of this process's events.
    pub(super) at: Moment,
}

impl Look {
    pub(super) fn finding(&self, stamps: &Stamps, expected: Expected) -> Finding {
        let keys = stamps.declared(self.item).iter().map(|&index| &stamps.keys[index]);
        let declared: SmallVec<[_; 4]> = keys.zip(self.declared.iter().copied()).collect();
        judge(self.slot.as_deref(), &declared, expected)
    }
}

/// What a look is made with.
#[derive(Clone, Copy)]
pub(super) struct Looker<'a> {
    pub(super) plan: &'a Plan,
    pub(super) items: &'a [Item],
    pub(super) stamps: &'a Stamps,
}

impl Looker<'_> {
    /// Reads the slots of these records and their stamps. Where an outer body is to depend on the entries, their own stamps
    /// must exist before the values are read, as for a single call.
    pub(super) async fn look(self, of: &[usize], freshness: Freshness) -> Result<Vec<Look>> {
        let looks = self.read(of, freshness).await?;
        let missing: Vec<&Key> = looks
            .iter()
            .filter(|look| look.own.is_none())
            .filter_map(|look| Some(&self.stamps.keys[self.stamps.own(look.item)?]))
            .collect();
        if missing.is_empty() {
            return Ok(looks);
        }
        let home = &self.plan.home;
        let capture = pin!(home.store().capture(&missing, self.plan.stamp_life()));
        home.in_time(self.plan.options.timeout, "capture the stamps", capture).await?;
        self.read(of, freshness).await
    }

    async fn read(self, of: &[usize], freshness: Freshness) -> Result<Vec<Look>> {
        let home = &self.plan.home;
        let reads = of.chunks(SLOTS_AT_ONCE).map(async |chunk| {
            let (keys, places) = self.keys(chunk);
            let values = home.store().read(&keys, freshness).await?.values;
            Ok(self.looks(chunk, &places, &values))
        });
        let read = pin!(try_join_all(reads));
        let looks = home.in_time(self.plan.options.timeout, "read", read).await?;
        Ok(looks.into_iter().flatten().collect())
    }

    /// The same for waiting: all slots are watched where one server has them, else the first.
    pub(super) async fn look_watched(self, of: &[usize], wake: &Wake) -> Result<Vec<Look>> {
        let home = &self.plan.home;
        let (keys, places) = self.keys(of);
        let read = pin!(home.store().read_watched(&keys, wake));
        let values = home.in_time(self.plan.options.timeout, "read and watch", read).await?;
        Ok(self.looks(of, &places, &values))
    }

    /// The slots, behind them the stamps, each once; and where each stamp stands.
    fn keys(&self, of: &[usize]) -> (Vec<&Key>, HashMap<usize, usize>) {
        let mut keys: Vec<&Key> = of.iter().map(|&item| &self.items[item].key).collect();
        let mut places = HashMap::new();
        for stamp in of.iter().flat_map(|&item| self.stamps.used_by(item)) {
            places.entry(stamp).or_insert_with(|| {
                keys.push(&self.stamps.keys[stamp]);
                keys.len() - 1
            });
        }
        (keys, places)
    }

    fn looks(&self, of: &[usize], places: &HashMap<usize, usize>, values: &[Option<Bytes>]) -> Vec<Look> {
        let at = self.plan.home.flights().moment();
        let state = |stamp: usize| StampState::of(values[places[&stamp]].as_deref());
        let look = |(&item, slot): (&usize, &Option<Bytes>)| Look {
            item,
            slot: slot.clone(),
            declared: self.stamps.declared(item).iter().map(|&stamp| state(stamp)).collect(),
            own: self.stamps.own(item).and_then(state),
            at,
        };
        of.iter().zip(values).map(look).collect()
    }

    /// For each record, whether the stamps that only its entry names are as the entry names them: in one more read, if there
    /// are any.
    pub(super) async fn current(self, named: &[Vec<(Key, Stamp)>]) -> Result<Vec<bool>> {
        let mut keys: Vec<&Key> = Vec::new();
        let mut places: HashMap<&Key, usize> = HashMap::new();
        for (key, _) in named.iter().flatten() {
            places.entry(key).or_insert_with(|| {
                keys.push(key);
                keys.len() - 1
            });
        }
        if keys.is_empty() {
            return Ok(vec![true; named.len()]);
        }
        let home = &self.plan.home;
        let read = pin!(home.store().read(&keys, Freshness::Current));
        let values = home.in_time(self.plan.options.timeout, "read", read).await?.values;
        let is_current = |(key, stamp): &(Key, Stamp)| {
            StampState::of(values[places[key]].as_deref()) == Some(StampState::Current(*stamp))
        };
        Ok(named.iter().map(|stamps| stamps.iter().all(is_current)).collect())
    }
}
