//! Invalidation: what goes, when, and what happens when the server cannot be told.

mod around;
mod keeper;
mod kept;
mod owed;
mod sweep;
mod target;

pub use around::{When, invalidate};
pub use sweep::{Progress, Sweep};

pub(crate) use around::HOLD_LIFE;
pub(crate) use keeper::ensure as ensure_keeper;
pub(crate) use kept::{Kept, keep};
use owed::Owed;
pub(crate) use sweep::Report;
pub(crate) use target::{Target, carry_out};

use std::time::Duration;

use crate::cache::{Function, Named, Plan};
use crate::error::{Error, Result};
use crate::key::{Key, KeyWriter, Pattern, stamp_of};
use crate::{Keylatch, telemetry};

/// A set of things to invalidate together. Filled in by generated code and by the programmatic API.
#[derive(Debug)]
pub struct Invalidation {
    function: &'static Function,
    home: Keylatch,
    targets: Vec<(Keylatch, Target)>,
    malformed: Option<Error>,
    enabled: bool,
}

impl Invalidation {
    /// Nothing yet, on behalf of that function.
    #[must_use]
    pub fn new(function: &'static Function, home: Keylatch) -> Self {
        function.list();
        Self { function, home, targets: Vec::new(), malformed: None, enabled: true }
    }

    /// The entry of a call, or those of a batch, in the `Keylatch` that the call uses.
    pub fn call(&mut self, call: &impl Named) {
        call.invalidated_by(self);
    }

    /// All entries with a tag.
    pub fn tag(&mut self, write: impl FnOnce(&mut KeyWriter)) {
        let stamp = self.home.space().tag(write);
        self.targets.push((self.home.clone(), Target::Key(stamp)));
    }

    /// All entries whose keys match a pattern.
    pub fn pattern(&mut self, write: impl FnOnce(&mut KeyWriter)) {
        self.matching(&Pattern::written(write));
    }

    /// Nothing at all unless `condition`.
    pub fn only_if(&mut self, condition: bool) {
        self.enabled &= condition;
    }

    pub(crate) fn entry(&mut self, plan: &Plan) {
        self.record(plan, &plan.key);
    }

    /// The entry of one record of a batch with that plan.
    pub(crate) fn record(&mut self, plan: &Plan, key: &Key) {
        plan.function.count_invalidation();
        self.slot(plan.home.clone(), key, plan.options.hold_off);
    }

    pub(crate) fn key(&mut self, key: &Key) {
        self.slot(self.home.clone(), key, None);
    }

    fn slot(&mut self, home: Keylatch, key: &Key, hold_off: Option<Duration>) {
        // The slot goes before its stamp. In the other order, somebody could make a new stamp while the old value is still
        // there, and store something made from that value under that stamp.
        let slot = match hold_off {
            Some(hold_off) => Target::HoldOff(key.clone(), hold_off),
            None => Target::Key(key.clone()),
        };
        self.targets.push((home.clone(), slot));
        self.targets.push((home, Target::Key(stamp_of(key))));
    }

    /// The entries made from the one named `key`, not that one.
    pub(crate) fn made_from(&mut self, key: &Key) {
        self.targets.push((self.home.clone(), Target::Key(stamp_of(key))));
    }

    pub(crate) fn matching(&mut self, pattern: &Pattern) {
        match pattern.within(self.home.space()) {
            Ok(pattern) => self.targets.push((self.home.clone(), Target::Matching(pattern))),
            Err(error) => self.malformed = Some(error),
        }
    }

    /// A stamp: a function, or everything.
    pub(crate) fn stamp(&mut self, stamp: Key) {
        self.targets.push((self.home.clone(), Target::Key(stamp)));
    }

    /// Carries it out.
    ///
    /// # Errors
    /// The first failure. What failed is kept, and repeated before its `Keylatch` is read again.
    ///
    /// # Cancel safety
    /// Dropped once it has begun, what is left is kept as well.
    pub(crate) async fn apply(self) -> Result<()> {
        self.carry_out(true, &Report::to_nobody()).await
    }

    /// The same, telling how far its patterns have come. Dropped, it goes no further.
    pub(crate) async fn apply_telling(self, report: &Report<'_>) -> Result<()> {
        self.carry_out(false, report).await
    }

    async fn carry_out(self, is_kept: bool, report: &Report<'_>) -> Result<()> {
        let malformed = self.malformed.map_or(Ok(()), Err);
        if !self.enabled {
            return malformed;
        }
        self.function.count_invalidation();
        telemetry::invalidated(self.targets.len());
        let applied = Owed::new(self.targets, is_kept).carry_out(report).await;
        malformed.and(applied)
    }

    /// Leaves it to be carried out behind the caller, before its `Keylatch` is read again.
    pub(crate) fn leave_behind(self) {
        drop(Owed::new(self.targets, true));
    }
}
