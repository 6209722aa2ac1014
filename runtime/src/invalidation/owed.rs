//! What an invalidation has still to do: whoever drops it half-way does not leave old values behind.

use super::{Report, Target};
use crate::Keylatch;
use crate::error::{Error, ErrorKind, Result};

/// Dropped before it is [carried out](Self::carry_out), what is left is kept, and repeated before its `Keylatch` is read again: a write
/// whose caller goes away has happened all the same.
pub(super) struct Owed {
    by_home: Vec<(Keylatch, Vec<Target>)>,
    /// Else it is forgotten.
    is_kept: bool,
}

impl Owed {
    pub(super) fn new(targets: Vec<(Keylatch, Target)>, is_kept: bool) -> Self {
        let mut by_home: Vec<(Keylatch, Vec<Target>)> = Vec::with_capacity(1);
        for (home, target) in targets {
            match by_home.iter_mut().find(|(known, _)| known.id() == home.id()) {
                Some((_, targets)) => targets.push(target),
                None => by_home.push((home, vec![target])),
            }
        }
        Self { by_home, is_kept }
    }

    /// The first failure, after all have been tried.
    pub(super) async fn carry_out(mut self, report: &Report<'_>) -> Result<()> {
        let mut outcome = Ok(());
        while let Some((home, targets)) = self.by_home.last() {
            let applied = home.carry_out(targets, report).await;
            outcome = outcome.and(applied);
            self.by_home.pop();
        }
        outcome
    }
}

impl Drop for Owed {
    fn drop(&mut self) {
        if !self.is_kept {
            return;
        }
        for (home, targets) in self.by_home.drain(..) {
            let given_up = Error::new(ErrorKind::Unavailable, "invalidate")
                .with("fault", "its caller was dropped before the server had answered");
            home.keep_invalidations(targets, &given_up);
        }
    }
}
