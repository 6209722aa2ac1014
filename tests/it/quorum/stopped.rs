//! Masters that stand still: a minority costs nothing, a majority is an error in time, and nothing is left when they go on.

use std::time::{Duration, Instant};

use keylatch::{Keylatch, LockError, NoVote};

use super::{Masters, lock};
use crate::support::until;

const TTL: Duration = Duration::from_secs(2);
/// Four round trips on the loopback are less than the least that a master is waited for.
const PER_NODE: Duration = Duration::from_millis(5);

async fn acquisitions(cache: &Keylatch, count: usize) -> Vec<Duration> {
    let mut took = Vec::new();
    for _ in 0..count {
        let began = Instant::now();
        let guard = lock(cache, "stopped", TTL).wait(Duration::ZERO).acquire().await.expect("a quorum");
        took.push(began.elapsed());
        guard.release().await.expect("a quorum");
    }
    took.sort_unstable();
    took
}

async fn a_minority_costs_nothing(masters: Masters, stopped: &[usize]) {
    let cache = masters.keylatch();
    acquisitions(&cache, 50).await;
    for &index in stopped {
        masters.servers[index].signal("STOP");
    }
    let took = acquisitions(&cache, 300).await;
    let p99 = took[took.len() * 99 / 100];
    eprintln!(
        "{} of {} stopped: p50 {:?}, p99 {p99:?}",
        stopped.len(),
        masters.servers.len(),
        took[took.len() / 2]
    );
    for &index in stopped {
        masters.servers[index].signal("CONT");
    }
    // A round trip on a machine that others may share.
    assert!(p99 <= 2 * PER_NODE + Duration::from_millis(5), "{p99:?}");
    // What they did not answer was asked for and given back over one connection, or ends by itself.
    tokio::time::sleep(TTL).await;
    until("something is left", || masters.holding("stopped") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_three_costs_nothing() {
    a_minority_costs_nothing(Masters::start(3), &[0]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_five_cost_nothing() {
    a_minority_costs_nothing(Masters::start(5), &[1, 3]).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_of_three_are_an_error_in_time() {
    let masters = Masters::start(3);
    let cache = masters.keylatch();
    acquisitions(&cache, 20).await;
    masters.servers[0].signal("STOP");
    masters.servers[2].signal("STOP");
    for wait in [Duration::ZERO, Duration::from_millis(400)] {
        let began = Instant::now();
        let refused = lock(&cache, "stopped", TTL).wait(wait).acquire().await;
        let took = began.elapsed();
        let Err(LockError::NoQuorum { needed, votes, .. }) = &refused else { panic!("{refused:?}") };
        let answered: Vec<bool> =
            votes.iter().map(|vote| matches!(vote.vote, Ok(()) | Err(NoVote::Held))).collect();
        assert_eq!((*needed, &answered[..]), (2, &[false, true, false][..]), "{votes:?}");
        let error = refused.unwrap_err();
        assert!(!error.body_ran());
        let text = error.to_string();
        assert!(text.contains("2 votes of 3") && text.contains("voted for it"), "{text}");
        assert!(took >= wait && took < wait + Duration::from_millis(300), "{took:?}");
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    masters.servers[0].signal("CONT");
    masters.servers[2].signal("CONT");
    tokio::time::sleep(TTL + Duration::from_millis(200)).await;
    assert_eq!(masters.holding("stopped"), 0);
    acquisitions(&cache, 5).await;
}
