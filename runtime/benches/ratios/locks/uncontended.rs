//! A lock that nobody else wants.

use std::time::Duration;

use keylatch::{Keylatch, LockError, with_lock};

use crate::contest::{Contest, Unit};
use crate::contestants::{Bare, Ours};

const TTL: Duration = Duration::from_secs(30);

#[with_lock(key = "guarded", ttl = "30s", using = keylatch)]
async fn guarded(keylatch: &Keylatch) -> Result<(), LockError> {
    Ok(())
}

pub(super) async fn run(bare: &Bare, ours: &Ours, embedded: &Ours) {
    let alone = Contest { tasks: 1, unit: Unit::Latency };
    let against = "`SET NX PX`, compare-and-delete";
    alone
        .run(
            &format!("lock and release on Redis | {against}"),
            |_| bare.lock(),
            |_| {
                let cache = ours.keylatch().clone();
                async move {
                    cache.lock("bench").ttl(TTL).run(async |_lease| ()).await.expect("nobody else locks");
                }
            },
        )
        .await;
    alone
        .run(
            &format!("lock with a fencing token, and release | {against}"),
            |_| bare.lock(),
            |_| {
                let cache = ours.keylatch().clone();
                async move {
                    let lock = cache.lock("bench-fenced").ttl(TTL).fence();
                    lock.run(async |_lease| ()).await.expect("nobody else locks");
                }
            },
        )
        .await;
    alone
        .run(
            "`#[with_lock]` on the embedded store | its body alone",
            |_| std::future::ready(()),
            |_| {
                let cache = embedded.keylatch().clone();
                async move { guarded(&cache).await.expect("nobody else locks") }
            },
        )
        .await;
}
