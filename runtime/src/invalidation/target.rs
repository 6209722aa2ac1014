//! One thing to invalidate, and how several are carried out together.

use std::time::Duration;

use super::Report;
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

/// Carries out all of them: single keys in one command, in their order, patterns one after the other. Doing so twice does no
/// harm. Slots are held off first, because their stamps, which must go after them, are among the single keys.
pub(crate) async fn carry_out(store: &impl Store, targets: &[Target], report: &Report<'_>) -> Result<()> {
    let keys: Vec<&Key> = targets
        .iter()
        .filter_map(|target| match target {
            Target::Key(key) => Some(key),
            Target::HoldOff(..) | Target::Matching(_) => None,
        })
        .collect();
    for target in targets {
        if let Target::HoldOff(key, life) = target {
            store.hold(&[key], &new_hold(), *life).await?;
        }
    }
    store.invalidate(&keys).await?;
    for target in targets {
        if let Target::Matching(pattern) = target {
            store.invalidate_matching(pattern, report).await?;
        }
    }
    Ok(())
}
