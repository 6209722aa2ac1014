//! Entries made from others that are being replaced: they go once those have been, also if whoever replaces them is dropped
//! meanwhile.

use super::function::Function;
use crate::Keylatch;
use crate::error::Result;
use crate::invalidation::Invalidation;
use crate::key::Key;

/// To be had before the replacement is sent. Dropped without a word, it sees to them behind its caller: the replacement may have
/// happened.
pub(super) struct MadeFrom {
    home: Keylatch,
    function: &'static Function,
    keys: Vec<Key>,
}

impl MadeFrom {
    pub(super) fn new(home: &Keylatch, function: &'static Function, keys: Vec<Key>) -> Self {
        Self { home: home.clone(), function, keys }
    }

    /// Which of the entries have been replaced, or may have been, in their order.
    pub(super) fn retain(&mut self, mut replaced: impl Iterator<Item = bool>) {
        self.keys.retain(|_| replaced.next().unwrap_or(true));
    }

    /// Nothing has been replaced.
    pub(super) fn call_off(mut self) {
        self.keys.clear();
    }

    /// All of them have been replaced. A failure is kept, repeated and traced as that of any invalidation.
    pub(super) async fn invalidate(mut self) -> Result<()> {
        match self.take() {
            Some(invalidation) => invalidation.apply().await,
            None => Ok(()),
        }
    }

    fn take(&mut self) -> Option<Invalidation> {
        if self.keys.is_empty() {
            return None;
        }
        let mut invalidation = Invalidation::new(self.function, self.home.clone());
        for key in self.keys.drain(..) {
            invalidation.made_from(&key);
        }
        Some(invalidation)
    }
}

impl Drop for MadeFrom {
    fn drop(&mut self) {
        if let Some(invalidation) = self.take() {
            invalidation.leave_behind();
        }
    }
}
