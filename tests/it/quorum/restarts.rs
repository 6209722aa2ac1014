//! Masters that are killed and come back with nothing: they do not vote until no lock can be left that they have forgotten, and
//! count on from what the others remember.

use std::time::{Duration, Instant};

use keylatch::{Builder, LockError, NoVote};

use super::{History, Masters, lock, lock_of_any_kind, over};
use crate::support::proxy::Mode;
use crate::support::{Proxy, until};

const TTL: Duration = Duration::from_millis(500);
/// How often the one that all majorities have in common is killed.
const EVERY: Duration = Duration::from_secs(2);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_has_forgotten_does_not_vote_for_the_life_of_a_lock() {
    let mut masters = Masters::start(3);
    let (mine, others) = (masters.proxies().await, masters.keylatch());
    let cache = over(mine.iter().map(Proxy::url)).build().unwrap();
    lock(&cache, "other", Duration::from_secs(3)).acquire().await.unwrap().release().await.unwrap();
    // Held by the first two, of which one forgets it.
    mine[2].set(Mode::Refuse);
    let guard = lock(&cache, "held", Duration::from_secs(3)).acquire().await.unwrap();
    let first = guard.lease().token().unwrap();
    mine[1].set(Mode::Refuse);
    masters.servers[1].kill();
    masters.servers[1].restart();
    let restarted = Instant::now();
    loop {
        match lock(&others, "held", Duration::from_secs(3)).wait(Duration::ZERO).acquire().await {
            Ok(second) => {
                assert!(restarted.elapsed() >= Duration::from_secs(2), "{:?}", restarted.elapsed());
                assert!(second.lease().token().unwrap() > first);
                break;
            }
            Err(LockError::NoQuorum { votes, .. }) => {
                let rests = !matches!(votes[1].vote, Ok(()) | Err(NoVote::Held));
                assert!(rests, "{votes:?}");
            }
            Err(LockError::Busy { .. }) => {}
            Err(error) => panic!("{error}"),
        }
        assert!(restarted.elapsed() < Duration::from_secs(12), "it never votes again");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(guard);
}

/// Two groups of clients whose majorities have one master in common, which is killed again and again; somebody who reaches
/// all lets it vote again.
async fn bare_majorities(count: usize, lasting: Duration, change: fn(Builder) -> Builder) -> History {
    let mut masters = Masters::start(count);
    let middle = count / 2;
    let history = History::default();
    // The namespace is known everywhere.
    let sees_all = change(masters.builder()).build().unwrap();
    lock(&sees_all, "observed", TTL).acquire().await.unwrap().release().await.unwrap();
    let mut proxies = Vec::new();
    for cut_off in [middle + 1..count, 0..middle] {
        let mine = masters.proxies().await;
        cut_off.for_each(|index| mine[index].set(Mode::Refuse));
        proxies.push(mine);
    }
    let ends = Instant::now() + lasting;
    let mut tasks = Vec::new();
    for mine in proxies.iter().chain(&proxies) {
        let cache = change(over(mine.iter().map(Proxy::url))).build().unwrap();
        let history = history.clone();
        tasks.push(tokio::spawn(async move {
            while Instant::now() < ends {
                let lasting = Duration::from_millis(if fastrand::bool() { 700 } else { 30 });
                let had = lock_of_any_kind(&cache, "bare", TTL).wait(Duration::from_secs(1));
                let _had_or_not = had.run(async |lease| history.visit(lease, lasting).await).await;
            }
        }));
    }
    tasks.push(tokio::spawn(async move {
        while Instant::now() < ends {
            let had = lock(&sees_all, "observed", TTL).wait(Duration::from_secs(1));
            let pause = Duration::from_millis(50);
            let _had_or_not = had.run(async |_lease| tokio::time::sleep(pause).await).await;
        }
    }));
    while Instant::now() + EVERY < ends {
        tokio::time::sleep(EVERY).await;
        tokio::task::block_in_place(|| {
            masters.servers[middle].kill();
            masters.servers[middle].restart();
        });
    }
    for task in tasks {
        task.await.unwrap();
    }
    let visits = history.visits();
    eprintln!(
        "{} visits, {} overlaps, {} regressions",
        visits.len(),
        history.overlaps(),
        history.regressions()
    );
    until("something is left", || masters.holding("bare") == 0).await;
    history
}

async fn nobody_shares(count: usize, lasting: Duration) {
    let history = bare_majorities(count, lasting, |builder| builder).await;
    assert_eq!((history.overlaps(), history.regressions()), (0, 0));
    let served = u128::from(lasting.as_secs()) / 2;
    assert!(history.visits().len() as u128 > served, "hardly anybody was served");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn bare_majorities_of_three_do_not_share_a_lock() {
    nobody_shares(3, Duration::from_secs(12)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_the_rest_they_would() {
    let mut seconds = 0;
    loop {
        let history = bare_majorities(3, Duration::from_secs(12), Builder::without_rest_after_restart).await;
        if history.overlaps() > 0 {
            return;
        }
        seconds += 12;
        assert!(seconds < 60, "nothing was found");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_bare_majorities_of_five() {
    nobody_shares(5, Duration::from_secs(120)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restarted_master_is_won_over_and_counts_on() {
    let mut masters = Masters::start(3);
    let cache = masters.keylatch();
    let ttl = Duration::from_secs(1);
    let before = lock(&cache, "counted", ttl).acquire().await.unwrap();
    masters.servers[0].kill();
    masters.servers[0].restart();
    until("the lock is not set again", || masters.holding("counted") == 3).await;
    let token = before.lease().token().unwrap();
    before.release().await.unwrap();
    let ledger = || masters.servers[0].command("HGET test#ledger high").is_some_and(|high| high != "$-1");
    let admitted = async {
        while !ledger() {
            let had = lock(&cache, "counted", ttl).run(async |lease| {
                tokio::time::sleep(Duration::from_millis(150)).await;
                lease.token().unwrap()
            });
            assert!(had.await.unwrap() > token);
        }
    };
    tokio::time::timeout(Duration::from_secs(10), admitted).await.expect("it never votes again");
}

/// Where no token is wanted, plain commands set the key on whatever master there is.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_without_a_ledger_is_left_without_the_key() {
    let masters = Masters::start(3);
    let cache = masters.keylatch();
    cache.lock("plain").ttl(TTL).acquire().await.unwrap().release().await.unwrap();
    masters.servers[1].query(&["FLUSHALL"]).unwrap();
    let guard = cache.lock("plain").ttl(TTL).acquire().await.unwrap();
    until("it keeps the key", || masters.holding("plain") == 2).await;
    assert_eq!(masters.servers[1].query(&["EXISTS", "test#lock:plain"]), Ok(redis::Value::Int(0)));
    guard.release().await.unwrap();
}

/// The ledger must know the longest life that there may be, for that long a master that has forgotten rests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn longer_lives_reach_the_ledger() {
    let masters = Masters::start(3);
    let cache = masters.keylatch();
    for (ttl, longest) in [(TTL, TTL), (4 * TTL, 4 * TTL), (2 * TTL, 4 * TTL)] {
        let guard = cache.lock("plain").ttl(ttl).acquire().await.unwrap();
        let longest = redis::Value::BulkString(longest.as_millis().to_string().into());
        // While it is held, for a master without which there was a majority need not hear of what was given back meanwhile.
        for server in &masters.servers {
            let told = || server.query(&["HGET", "test#ledger", "longest"]);
            until("a master does not know", || told().as_ref() == Ok(&longest)).await;
        }
        guard.release().await.unwrap();
    }
}
