//! R11: a replica is promoted that has not seen the lock. Two hold it then, for a lock on one master is only as good as its
//! replication; the token keeps the older holder from writing.

use std::time::Duration;

use keylatch::fencing::FencedKey;
use keylatch::{Key, Keylatch};

use crate::support::proxy::Mode;
use crate::support::replicated::Replicated;
use crate::support::{RedisServer, keylatch, until};

const ROUNDS: u32 = 8;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_failover_no_stale_write_is_accepted() {
    let resource = RedisServer::start();
    let (mut overlaps, mut accepted) = (0, 0);
    for round in 0..ROUNDS {
        let servers = Replicated::start(1).await;
        let (primary, replica) = (&servers.primary, &servers.replicas[0]);
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
        if !lags {
            until("the lock does not arrive", || replica.key_count() == primary.key_count()).await;
        }
        replica.query(&["REPLICAOF", "NO", "ONE"]).unwrap();
        let second = lock(&new).acquire().await;
        first.lease().check().expect("nobody told the first holder");
        overlaps += u32::from(second.is_ok());
        assert_eq!(
            second.is_ok(),
            lags,
            "round {round}: only a lock that was not replicated is granted twice"
        );
        let Ok(second) = second else { continue };
        let mut connection = keylatch(&resource).connection().expect("it is on Redis");
        let value = FencedKey::new(format!("value-{round}"));
        let (older, newer) = (first.lease().token().unwrap(), second.lease().token().unwrap());
        let _: Option<u64> = value.read(&mut connection, newer).await.unwrap();
        accepted += u32::from(value.write(&mut connection, older, 1).await.is_ok());
        value.write(&mut connection, newer, 2).await.unwrap();
        accepted += u32::from(value.write(&mut connection, older, 3).await.is_ok());
        assert_eq!(value.read::<u64>(&mut connection, newer).await.unwrap(), Some(2));
    }
    eprintln!("{overlaps} of {ROUNDS} locks were held twice, {accepted} stale writes were accepted");
    assert_eq!((overlaps, accepted), (ROUNDS / 2, 0));
}
