//! Extends a lock while it is held, and declares it lost before anybody else can have it.

use std::time::Duration;

use crate::clock::{self, Instant};
use crate::lock::mutex::Claim;
use crate::telemetry;

/// Completes when the lock is lost, or given up by a shutdown.
pub(in crate::lock) async fn watch(claim: &Claim) {
    tokio::select! {
        () = claim.lease.lost() => {}
        () = extend(claim) => {}
    }
    claim.lease.lose();
    telemetry::lock_lost(&claim.options.key);
}

/// Extends the lock for as long as that can be done.
async fn extend(claim: &Claim) {
    let options = &claim.options;
    let give_up_at = options.max_hold.map(|limit| clock::now() + limit);
    let mut next = clock::now() + options.ttl / 3;
    loop {
        let left = claim.lease.remaining();
        if left.is_zero() {
            break;
        }
        let deadline = clock::now() + left;
        let extend_at = Some(next).filter(|_| options.extend).filter(|next| before(*next, give_up_at));
        let Some(extend_at) = extend_at.filter(|extend_at| *extend_at < deadline) else {
            clock::sleep_until(give_up_at.map_or(deadline, |limit| limit.min(deadline))).await;
            if !before(clock::now(), give_up_at) {
                break;
            }
            continue;
        };
        clock::sleep_until(extend_at).await;
        next = match clock::within(left, claim.extend()).await {
            Some(Ok(true)) => clock::now() + options.ttl / 3,
            Some(Ok(false)) => break,
            // Unanswered or unreachable: again soon, until the deadline.
            Some(Err(_)) | None => clock::now() + (options.ttl / 10).max(Duration::from_millis(1)),
        };
    }
}

fn before(moment: Instant, limit: Option<Instant>) -> bool {
    limit.is_none_or(|limit| moment < limit)
}
