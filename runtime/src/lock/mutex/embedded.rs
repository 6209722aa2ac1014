//! Waiting for a lock of the embedded store: whoever is handed it takes it when it is polled.

use std::sync::Arc;

use tokio::sync::Notify;

use super::acquire::{AtOnce, Waiting, look_again};
use super::claim::{Claim, Hold};
use crate::clock::{self, Moment};
use crate::lock::LockError;
use crate::lock::master::{AnyMaster, EmbeddedMaster, Owned, Taken};
use crate::lock::options::{LockBuilder, validity};
use crate::lock::value::LockValue;

/// Takes the lock if it is free.
pub(super) fn at_once(options: LockBuilder, now: Moment) -> AtOnce<Claim> {
    let value = LockValue::new();
    match master(&options).take(owned(&options, value), options.ttl, now, None) {
        Taken::Granted => AtOnce::Had(granted(options, value, now)),
        Taken::Held { .. } => AtOnce::NotYet(options),
    }
}

fn master(options: &LockBuilder) -> &EmbeddedMaster {
    match options.home.lock_master() {
        AnyMaster::Embedded(master) => master,
        _ => unreachable!("the lock is one of the embedded store"),
    }
}

fn owned(options: &LockBuilder, value: LockValue) -> Owned<'_> {
    Owned { key: &options.key, value, sharing: options.sharing }
}

/// Takes it in its turn.
pub(super) async fn acquire(options: LockBuilder, waiting: &Waiting) -> Result<Claim, LockError> {
    let options = match at_once(options, waiting.began) {
        AtOnce::Had(claim) => return Ok(claim),
        AtOnce::NotYet(options) => options,
    };
    let value = LockValue::new();
    let wake = Arc::new(Notify::new());
    let queued = Queued { options: &options, value };
    loop {
        let rest = waiting.left(&options)?;
        let now = clock::moment();
        match master(&options).take(owned(&options, value), options.ttl, now, Some(&wake)) {
            Taken::Granted => {
                std::mem::forget(queued);
                return Ok(granted(options, value, now));
            }
            Taken::Held { left, place } => {
                tokio::select! {
                    () = wake.notified() => {}
                    () = clock::sleep(look_again(left, place as u64).min(rest)) => {}
                }
            }
        }
    }
}

/// A place in the queue; given up when it is dropped.
struct Queued<'a> {
    options: &'a LockBuilder,
    value: LockValue,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        let _left = master(self.options).give_up(owned(self.options, self.value), clock::moment());
    }
}

fn granted(options: LockBuilder, value: LockValue, now: Moment) -> Claim {
    let token = options.mint(1).map(|mint| master(&options).token(options.sharing, mint));
    let until = now + validity(options.ttl);
    Claim::new(options, Hold::Embedded(value), token, until, now)
}
