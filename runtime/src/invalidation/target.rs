//! One thing to invalidate, and how several are carried out together.

use std::time::Duration;

use crate::error::Result;
use crate::key::{FullPattern, Key};
use crate::store::{Store, new_hold};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Target {
    /// A slot or a stamp.
    Key(Key),
    /// A slot under which nothing is stored for that long.
    HoldOff(Key, Duration),
    /// Every slot that matches, and its stamp.
    Matching(FullPattern),
}

/// Carries out all of them: single keys in one command, patterns one after the other. Doing so twice does no harm.
pub(crate) async fn carry_out(store: &impl Store, targets: &[Target]) -> Result<()> {
    let keys: Vec<&Key> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Key(key) => Some(key),
            Target::HoldOff(..) | Target::Matching(_) => None,
        })
        .collect();
    store.invalidate(&keys).await?;
    for target in targets {
        match target {
            Target::Key(_) => {}
            Target::HoldOff(key, life) => drop(store.hold(&[key], &new_hold(), *life).await?),
            Target::Matching(pattern) => drop(store.invalidate_matching(pattern).await?),
        }
    }
    Ok(())
}
