//! A semaphore over several masters: so many locks with names, each had by a majority. Whoever wants a permit begins at a
//! random one, and goes on to the next where it is refused.
//!
//! Counting the holders on each master would be wrong: of three masters with two permits each, three holders can have two
//! masters each.

use std::time::Duration;

use super::acquire::Waiting;
use super::claim::Claim;
use super::remote;
use crate::error::{Error, ErrorKind};
use crate::key::{Key, permit_of};
use crate::lock::LockError;
use crate::lock::master::AnyMaster;
use crate::lock::options::LockBuilder;
use crate::lock::sharing::Sharing;
use crate::{clock, random};

/// The pauses between two rounds.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

pub(super) async fn acquire(
    options: LockBuilder,
    master: &AnyMaster,
    waiting: &Waiting,
) -> Result<Claim, LockError> {
    if options.fence {
        return Err(LockError::Unknown { key: options.key, source: unfenced() });
    }
    let permits = options.sharing.permits().unwrap_or(1);
    let mut pause = FIRST_PAUSE;
    loop {
        let first = random::below(usize::try_from(permits).unwrap_or(usize::MAX));
        let first = u32::try_from(first).unwrap_or(0);
        for slot in (first..permits).chain(0..first) {
            let one = slot_of(&options, permit_of(&options.key, slot));
            match remote::acquire(one, master, &waiting.once()).await {
                Err(LockError::Busy { .. }) => {}
                outcome => return outcome,
            }
        }
        let rest = waiting.left(&options)?;
        clock::sleep(pause.mul_f64(0.5 + 0.5 * random::fraction()).min(rest)).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Each permit counts tokens of its own, so a later holder of another permit could have a smaller one.
fn unfenced() -> Error {
    Error::new(ErrorKind::Configuration, "lock")
        .with("fence", "tokens of a semaphore over several masters would not grow from holder to holder")
        .remedy("remove `fence`, or lock one key")
}

fn slot_of(options: &LockBuilder, key: Key) -> LockBuilder {
    LockBuilder { key, sharing: Sharing::Alone, ..options.clone() }
}
