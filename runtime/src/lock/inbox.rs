//! Where servers tell this process that it has been handed a lock. One channel a process, on a connection of its own to each
//! server on which it waits; whoever waits is found by the value it has queued.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tokio::sync::Notify;

use super::FencingToken;
use super::master::MasterTime;
use super::value::{LockValue, process};

/// What the channels of inboxes begin with; the name of the process follows. Nothing else is published.
pub(crate) const PREFIX: &[u8] = b"keylatch#inbox:";

/// The channel of this process.
pub(crate) fn channel() -> Vec<u8> {
    [PREFIX, process()].concat()
}

/// Somebody has handed us the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Push {
    /// When, by the master's clock.
    pub(super) at: MasterTime,
    /// The first of [`TOKENS`](super::master::TOKENS), if they were asked for.
    pub(super) token: Option<FencingToken>,
}

/// Waits for a lock to be handed over. Dropping it ends the wait.
#[derive(Debug)]
pub(super) struct Listener {
    value: LockValue,
    slot: Arc<Slot>,
}

#[derive(Debug, Default)]
struct Slot {
    push: Mutex<Option<Push>>,
    come: Notify,
}

type Waiting = HashMap<LockValue, Arc<Slot>>;

/// Connections of several instances bring what is for any of them, so there is one for the process.
fn waiting() -> MutexGuard<'static, Waiting> {
    static WAITING: OnceLock<Mutex<Waiting>> = OnceLock::new();
    WAITING.get_or_init(Mutex::default).lock().unwrap_or_else(PoisonError::into_inner)
}

impl Listener {
    /// Begins before the value is queued, so that no message is missed.
    pub(super) fn new(value: LockValue) -> Self {
        let slot = Arc::clone(waiting().entry(value).or_default());
        Self { value, slot }
    }

    /// What has come.
    pub(super) fn take(&self) -> Option<Push> {
        self.slot.push.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Completes when something has come, or when messages may have been lost.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub(super) async fn come(&self) {
        self.slot.come.notified().await;
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        waiting().remove(&self.value);
    }
}

/// A message has come: the value, the time in microseconds, `:`, the token or 0. One that nobody waits for any more is left
/// out: whoever gave up has told the server, or the claim ends.
pub(crate) fn deliver(message: &[u8]) {
    let Some((value, push)) = parse(message) else { return };
    if is_dropped(value) {
        return;
    }
    let Some(slot) = waiting().get(&value).map(Arc::clone) else { return };
    *slot.push.lock().unwrap_or_else(PoisonError::into_inner) = Some(push);
    slot.come.notify_one();
}

/// Messages may have been lost: everybody asks.
pub(crate) fn disturbed() {
    for slot in waiting().values() {
        slot.come.notify_one();
    }
}

fn parse(message: &[u8]) -> Option<(LockValue, Push)> {
    let (value, rest) = message.split_at_checked(LockValue::LEN)?;
    let (at, token) = std::str::from_utf8(rest).ok()?.split_once(':')?;
    let token: u64 = token.parse().ok()?;
    let token = (token > 0).then(|| FencingToken::new(token));
    Some((LockValue::of_this_process(value)?, Push { at: MasterTime(at.parse().ok()?), token }))
}

/// Every so many-th message is dropped; 0 for none.
#[cfg(feature = "test-util")]
static DROPPED: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);

/// Drops every `nth` message to this process from now on, as a network could, so that tests can show what that costs.
#[cfg(feature = "test-util")]
pub fn drop_every_nth_push(nth: u64) {
    DROPPED.store(nth, std::sync::atomic::Ordering::SeqCst);
}

/// The same whichever instance of the process it comes to.
#[cfg(feature = "test-util")]
fn is_dropped(value: LockValue) -> bool {
    let nth = DROPPED.load(std::sync::atomic::Ordering::SeqCst);
    nth > 0 && value.number().is_multiple_of(nth)
}

#[cfg(not(feature = "test-util"))]
fn is_dropped(_value: LockValue) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_find_who_waits() {
        let (value, other) = (LockValue::new(), LockValue::new());
        let listener = Listener::new(value);
        let message = |value: LockValue, rest: &str| [&value.bytes()[..], rest.as_bytes()].concat();
        for bad in ["", "1", "1:", ":1", "1:-1", "x:1"] {
            deliver(&message(value, bad));
        }
        deliver(&message(other, "1:1"));
        assert_eq!(listener.take(), None);
        deliver(&message(value, "1700000000000000:9007199254740993"));
        let push = listener.take().expect("it has come");
        assert_eq!(push.at, MasterTime(1_700_000_000_000_000));
        assert_eq!(push.token.map(FencingToken::get), Some(9_007_199_254_740_993));
        assert_eq!(listener.take(), None, "once");
        deliver(&message(value, "1:0"));
        assert_eq!(listener.take().expect("it has come").token, None);
        drop(listener);
        assert!(!waiting().contains_key(&value));
    }
}
