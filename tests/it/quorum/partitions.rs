//! Masters that cannot be reached, in both directions or in one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use keylatch::{LockError, LockGuard, ReleaseError};

use super::{History, Masters, lock, through};
use crate::support::proxy::Mode;
use crate::support::until;

const TTL: Duration = Duration::from_secs(1);

/// The holder is cut off from a majority; somebody else waits. Several locks at a time, since the way of each is the same.
async fn holders_are_told_first(rounds: usize, keys: &[&'static str]) {
    let masters = Masters::start(3);
    let (mine, others) = (masters.proxies().await, masters.keylatch());
    let cache = through(&mine);
    for _ in 0..rounds {
        let inside = AtomicUsize::new(0);
        let one = async |key| {
            let history = History::default();
            let held = lock(&cache, key, TTL).wait(Duration::from_secs(9)).run(async |lease| {
                inside.fetch_add(1, Ordering::SeqCst);
                history.visit(lease, Duration::from_secs(60)).await;
            });
            let waits = async {
                until("nobody is inside", || history.visits().len() == 1).await;
                let next = lock(&others, key, TTL).wait(Duration::from_secs(20));
                let entered = next.run(async |_lease| Instant::now()).await.unwrap();
                (entered, Instant::now())
            };
            let (held, (entered, _)) = tokio::join!(async { (held.await, Instant::now()) }, waits);
            let (outcome, aborted) = held;
            assert!(matches!(outcome, Err(LockError::Lost { .. })), "{outcome:?}");
            let last = history.visits()[0].to;
            assert!(last < entered, "{key}: the holder relied on it {:?} too long", last - entered);
            (aborted.saturating_duration_since(entered), entered - last)
        };
        let cut = async {
            until("not all are inside", || inside.load(Ordering::SeqCst) == keys.len()).await;
            tokio::time::sleep(Duration::from_millis(300)).await;
            mine[0].set(Mode::Hold);
            mine[1].set(Mode::Hold);
        };
        let all = futures_util::future::join_all(keys.iter().map(|key| one(key)));
        let (gaps, ()) = tokio::join!(all, cut);
        let late = gaps.iter().filter(|(late, _)| !late.is_zero()).count();
        let gap = gaps.iter().map(|(_, gap)| *gap).min();
        eprintln!(
            "{} locks lost; told too late: {late}; least time between two holders: {gap:?}",
            gaps.len()
        );
        assert_eq!(late, 0, "bodies were stopped after somebody else had begun");
        mine[0].set(Mode::Pass);
        mine[1].set(Mode::Pass);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_is_cut_off_is_stopped_before_anybody_else_begins() {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    holders_are_told_first(2, &keys).await;
}

/// 100 of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn soak_holders_that_are_cut_off() {
    let keys = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j"];
    holders_are_told_first(10, &keys).await;
}

/// Takes the lock through proxies that pass everything.
async fn guarded(masters: &Masters) -> (Vec<crate::support::Proxy>, LockGuard) {
    let proxies = masters.proxies().await;
    let cache = through(&proxies);
    let guard = lock(&cache, "one-way", TTL).acquire().await.unwrap();
    until("it is not held on all", || masters.holding("one-way") == 3).await;
    (proxies, guard)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn answers_that_do_not_come_leave_nothing_behind() {
    let masters = Masters::start(3);
    let proxies = masters.proxies().await;
    let cache = through(&proxies);
    lock(&cache, "warm", TTL).acquire().await.unwrap().release().await.unwrap();
    proxies[0].set(Mode::SwallowAnswers);
    proxies[1].set(Mode::SwallowAnswers);
    let refused = lock(&cache, "one-way", TTL).wait(Duration::ZERO).acquire().await;
    assert!(matches!(refused, Err(LockError::NoQuorum { .. })), "{refused:?}");
    // The requests did arrive, and so did what gives back; otherwise it would have ended by itself.
    let asked = Instant::now();
    until("something is left", || masters.holding("one-way") == 0).await;
    assert!(asked.elapsed() < TTL, "{:?}", asked.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_prolonged_by_a_majority_of_answers() {
    let masters = Masters::start(3);
    let (proxies, guard) = guarded(&masters).await;
    proxies[2].set(Mode::SwallowAnswers);
    tokio::time::sleep(3 * TTL).await;
    guard.lease().check().expect("two of three confirm it");
    proxies[1].set(Mode::SwallowAnswers);
    tokio::time::timeout(TTL, guard.lease().lost()).await.expect("one of three does not suffice");
    drop(guard);
    for proxy in &proxies {
        proxy.set(Mode::Pass);
    }
    until("something is left", || masters.holding("one-way") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_release_that_no_majority_confirms_is_told_as_unknown() {
    let masters = Masters::start(3);
    let (proxies, guard) = guarded(&masters).await;
    proxies[0].set(Mode::SwallowAnswers);
    proxies[1].set(Mode::SwallowAnswers);
    let released = guard.release().await;
    assert!(matches!(released, Err(ReleaseError::Unknown { .. })), "{released:?}");
    // The requests arrived all the same.
    until("something is left", || masters.holding("one-way") == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn requests_that_do_not_arrive_are_made_up_for() {
    let masters = Masters::start(3);
    let proxies = masters.proxies().await;
    let cache = through(&proxies);
    lock(&cache, "warm", TTL).acquire().await.unwrap().release().await.unwrap();
    proxies[0].set(Mode::SwallowRequests);
    let guard = lock(&cache, "one-way", Duration::from_secs(6)).acquire().await.unwrap();
    assert_eq!(masters.holding("one-way"), 2);
    proxies[0].set(Mode::Pass);
    proxies[0].cut();
    until("the third is not won over", || masters.holding("one-way") == 3).await;
    guard.release().await.unwrap();
    until("something is left", || masters.holding("one-way") == 0).await;
}

/// A request that a lost connection still had on its way is carried out after everything was given back.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_comes_after_the_release_ends_by_itself() {
    let masters = Masters::start(3);
    let proxies = masters.proxies().await;
    let cache = through(&proxies);
    lock(&cache, "warm", TTL).acquire().await.unwrap().release().await.unwrap();
    proxies[0].haunt(Some(Duration::from_secs(1)));
    let guard = lock(&cache, "zombie", TTL).acquire().await.unwrap();
    let first = guard.lease().token().unwrap();
    proxies[0].cut();
    proxies[0].haunt(None);
    guard.release().await.unwrap();
    until("it is not given back", || masters.holding("zombie") == 0).await;
    until("nothing came late", || masters.holding("zombie") == 1).await;
    let came = Instant::now();
    // Nobody is held up by it, and tokens grow.
    let next = lock(&cache, "zombie", TTL).wait(Duration::ZERO).acquire().await.unwrap();
    assert!(next.lease().token().unwrap() > first);
    next.release().await.unwrap();
    until("it stays for ever", || masters.holding("zombie") == 0).await;
    assert!(came.elapsed() <= TTL + Duration::from_millis(200), "{:?}", came.elapsed());
}
