//! The task that extends the locks of one runtime.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime;
use tokio::sync::Notify;

use super::table::Kept;
use super::thread::RenewalThread;
use crate::clock::Moment;
use crate::instance::WeakKeylatch;
use crate::lock::master::{Extend, LockMaster, Owned};
use crate::{Keylatch, clock};

/// Sees to the locks until there are none.
pub(super) async fn drive(home: WeakKeylatch, runtime: runtime::Id, wake: Arc<Notify>) {
    let mut gone = Gone { home, runtime, is_known: true };
    loop {
        let Some(home) = gone.home.upgrade() else { return };
        let now = clock::moment();
        let Some(tick) = home.renewals().tick(runtime, now) else {
            // Another one may come in its place from now on.
            gone.is_known = false;
            return;
        };
        if !tick.due.is_empty() {
            // Beside this one: an answer that does not come keeps nobody else from being extended, or told of the loss.
            tokio::spawn(extend(home.clone(), tick.due));
        }
        drop(home);
        tokio::select! {
            () = clock::sleep(tick.next - now) => {}
            () = wake.notified() => {}
        }
    }
}

/// Dropped with the runtime.
struct Gone {
    home: WeakKeylatch,
    runtime: runtime::Id,
    is_known: bool,
}

impl Drop for Gone {
    fn drop(&mut self) {
        if let (true, Some(home)) = (self.is_known, self.home.upgrade()) {
            home.renewals().gone(self.runtime);
        }
    }
}

/// What lives are told in.
const TOLD_IN: Duration = Duration::from_millis(1);

/// Extends locks in one request.
///
/// What was left of each lock's life is compared with what its holder relied on. Had the master ended it sooner, its clock was
/// set or somebody shortened the life: such a lock is no proof, and counts as lost, though it is still ours.
async fn extend(home: Keylatch, due: Vec<(usize, Kept)>) {
    // Counted from before the first byte leaves: the server cannot have begun earlier.
    let sent = clock::moment();
    let requests: Vec<Extend<'_>> = due
        .iter()
        .map(|(_, Kept { lease, value, ttl })| Extend {
            lock: Owned { key: lease.key(), value: *value, sharing: lease.sharing() },
            ttl: *ttl,
        })
        .collect();
    let relied_on: Vec<Moment> = due.iter().map(|(_, kept)| kept.lease.deadline()).collect();
    let master = home.renewals().thread().map_or_else(|| home.lock_master(), RenewalThread::master);
    let answers = master.extend(&requests).await;
    let answered = clock::moment();
    for (((index, kept), answer), relied_on) in due.iter().zip(answers).zip(relied_on) {
        match answer {
            Ok(Some(left)) if answered + left + TOLD_IN < relied_on => {
                if kept.lease.lose() {
                    crate::telemetry::lock_cut_short(kept.lease.key(), left, relied_on - answered);
                }
            }
            Ok(Some(_left)) => home.renewals().extended(*index, kept, sent),
            Ok(None) => {
                if kept.lease.lose() {
                    crate::telemetry::lock_lost(kept.lease.key());
                }
            }
            // Unanswered or unreachable: again soon, until the deadline.
            Err(_) => {}
        }
    }
}
