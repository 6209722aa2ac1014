//! The task that tells servers what they lack, for processes that do not read: others read the same entries. It also
//! completes what takes longer than a reader waits.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::instance::WeakKeylatch;
use crate::{Keylatch, clock};

/// The pause between two tries.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
/// Also the pause between two looks whether a server has been replaced.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Sees to it that the task runs, as long as invalidations are kept or remembered.
pub(crate) fn ensure(home: &Keylatch) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    // Loaded first: this is on the way of every invalidation.
    let is_watched = &home.kept().is_watched;
    if is_watched.load(Ordering::Acquire) || is_watched.swap(true, Ordering::AcqRel) {
        return;
    }
    let turn = Turn(home.downgrade());
    runtime.spawn(async move {
        let mut pause = FIRST_PAUSE;
        while let Some(home) = turn.0.upgrade() {
            if is_done(&home) {
                let is_watched = &home.kept().is_watched;
                is_watched.store(false, Ordering::Release);
                // Whatever came before that may have relied on this task.
                if is_done(&home) || is_watched.swap(true, Ordering::AcqRel) {
                    return;
                }
            }
            let owes = home.kept().owes(home.store());
            let rest = if owes { pause } else { LONGEST_PAUSE };
            pause = if owes { (pause * 2).min(LONGEST_PAUSE) } else { FIRST_PAUSE };
            let owing = Arc::clone(&home.kept().owing);
            // Holds on to the `Keylatch` only while a server lacks something.
            let until_told = owes.then_some(home);
            let _owing_or_time = clock::within(rest, owing.notified()).await;
            drop(until_told);
            let Some(home) = turn.0.upgrade() else { return };
            if let Some(connection) = home.store().connection() {
                connection.meet().await;
            }
            // A failure was reported when it was kept, or is when somebody reads.
            let _ = home.kept().repeat(home.store()).await;
        }
    });
}

fn is_done(home: &Keylatch) -> bool {
    home.open("repeat").is_err() || !(home.kept().owes(home.store()) || home.kept().remembers())
}

/// The task. However it ends, also with its runtime, another one may begin.
struct Turn(WeakKeylatch);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(home) = self.0.upgrade() {
            home.kept().is_watched.store(false, Ordering::Release);
        }
    }
}
