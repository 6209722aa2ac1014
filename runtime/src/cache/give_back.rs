//! Gives leases back behind a caller, who may be gone: as soon as the server, or the one that replaces it, takes them.

use std::time::Duration;

use super::decision::Prefix;
use crate::Keylatch;
use crate::clock;
use crate::key::Key;
use crate::store::{Held, Store};

/// How long after a failure they are given back again.
const AGAIN: Duration = Duration::from_millis(100);

/// Slots, and the leases that they may hold.
pub(super) type Leases = Vec<(Key, Prefix)>;

/// What is not that lease any more stays. Without a runtime, leases expire by themselves.
pub(super) fn give_back(home: &Keylatch, leases: Leases) {
    if let (false, Ok(runtime)) = (leases.is_empty(), tokio::runtime::Handle::try_current()) {
        runtime.spawn(until_taken(home.clone(), leases));
    }
}

async fn until_taken(home: Keylatch, mut leases: Leases) {
    let expired = clock::now() + home.lease_life();
    while clock::now() < expired {
        leases = not_taken(&home, leases).await;
        if leases.is_empty() {
            return;
        }
        clock::sleep(AGAIN).await;
    }
}

/// Gives them back once. What answers in the server's place, before or by now, knows nothing of them.
async fn not_taken(home: &Keylatch, leases: Leases) -> Leases {
    let store = home.store();
    let (mut left, now): (Leases, Leases) = leases.into_iter().partition(|(key, _)| store.is_sheltered(key));
    if now.is_empty() {
        return left;
    }
    let held: Vec<Held<'_>> = now.iter().map(|(key, expected)| Held { key, expected }).collect();
    let released = store.release_many(&held).await;
    for (lease, released) in now.into_iter().zip(released) {
        if released.is_err() || store.is_sheltered(&lease.0) {
            left.push(lease);
        }
    }
    left
}
