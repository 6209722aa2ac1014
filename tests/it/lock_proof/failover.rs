//! R11: a replica is promoted that has not seen the lock. Two hold it then, for a lock on one master is only as good as its
//! replication. Whoever waits for the replica (`WAIT`) before relying on the lock finds that out, as long as the one that
//! follows is the one that is promoted. The token keeps the older holder from writing in any case.

use std::time::Duration;

use keylatch::fencing::FencedKey;
use keylatch::redis;
use keylatch::{Key, Keylatch, LockGuard};

use crate::support::proxy::Mode;
use crate::support::replicated::Replicated;
use crate::support::{RedisServer, keylatch, until};

const ROUNDS: u32 = 8;

/// How many replicas have everything that was written up to now: a write of one's own, on the connection that then waits.
async fn replicas_in_step(primary: &RedisServer, limit_ms: u64) -> u32 {
    // A connection of its own: `WAIT` would hold up whoever else uses it.
    let client = redis::Client::open(primary.url()).expect("a good URL");
    let patient = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    let connected = client.get_multiplexed_async_connection_with_config(&patient).await;
    let mut connection = connected.expect("the primary answers");
    let mut pipeline = redis::pipe();
    pipeline.cmd("SET").arg("test#waited").arg(1).ignore();
    pipeline.cmd("WAIT").arg(1).arg(limit_ms);
    let (replicas,): (u32,) = pipeline.query_async(&mut connection).await.expect("the primary answers");
    replicas
}

/// What became of the locks of all rounds.
#[derive(Debug, Default, PartialEq, Eq)]
struct Outcome {
    /// Had by the first, who relied on it.
    relied_on: u32,
    /// Of those, had by a second one as well.
    twice: u32,
    stale_writes: u32,
}

/// The primary fails right after a lock was had there; in every other round, before its replica has heard of it.
async fn failovers(waits: bool) -> Outcome {
    let resource = RedisServer::start();
    let mut outcome = Outcome::default();
    for round in 0..ROUNDS {
        let servers = Replicated::start(1).await;
        let (primary, replica) = (&servers.primary, &servers.replicas[0]);
        // Only then does it answer for what it has.
        until("the replica is not online", || {
            primary.info("slave0").is_some_and(|replica| replica.contains("state=online"))
                && replica.info("master_link_status").as_deref() == Some("up")
        })
        .await;
        let (old, new) = (keylatch(primary), keylatch(replica));
        let lags = round % 2 == 0;
        if lags {
            servers.links[0].set(Mode::Hold);
        }
        let lock = |cache: &Keylatch| {
            let lock = cache.lock(Key::of("failover").part(&round)).ttl(Duration::from_secs(10));
            lock.wait(Duration::ZERO).fence()
        };
        let first = lock(&old).acquire().await.unwrap();
        if waits {
            // One that hears of it answers at once, but on a busy machine not within half a second.
            let limit_ms = if lags { 500 } else { 10_000 };
            assert_eq!(replicas_in_step(primary, limit_ms).await, u32::from(!lags));
            if lags {
                first.release().await.unwrap();
                continue;
            }
        } else if !lags {
            until("the lock does not arrive", || replica.key_count() == primary.key_count()).await;
        }
        outcome.relied_on += 1;
        replica.query(&["REPLICAOF", "NO", "ONE"]).unwrap();
        let second = lock(&new).acquire().await;
        first.lease().check().expect("nobody told the first holder");
        assert_eq!(second.is_ok(), lags, "only a lock that was not replicated is granted twice");
        let Ok(second) = second else { continue };
        outcome.twice += 1;
        outcome.stale_writes += stale_writes(&keylatch(&resource), round, &first, &second).await;
    }
    eprintln!("waiting for the replica: {waits}; {outcome:?} of {ROUNDS}");
    outcome
}

/// Of two that the older holder tries.
async fn stale_writes(resource: &Keylatch, round: u32, first: &LockGuard, second: &LockGuard) -> u32 {
    let mut connection = resource.connection().expect("it is on Redis");
    let value = FencedKey::new(format!("value-{round}"));
    let (older, newer) = (first.lease().token().unwrap(), second.lease().token().unwrap());
    let _: Option<u64> = value.read(&mut connection, newer).await.unwrap();
    let early = value.write(&mut connection, older, 1).await.is_ok();
    value.write(&mut connection, newer, 2).await.unwrap();
    let late = value.write(&mut connection, older, 3).await.is_ok();
    assert_eq!(value.read::<u64>(&mut connection, newer).await.unwrap(), Some(2));
    u32::from(early) + u32::from(late)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_no_stale_write_is_accepted() {
    let outcome = failovers(false).await;
    assert_eq!(outcome, Outcome { relied_on: ROUNDS, twice: ROUNDS / 2, stale_writes: 0 });
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_waits_for_the_replica_relies_on_no_lock_that_it_lacks() {
    let outcome = failovers(true).await;
    assert_eq!(outcome, Outcome { relied_on: ROUNDS / 2, twice: 0, stale_writes: 0 });
}
