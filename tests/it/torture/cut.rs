//! Promise 1 while the connections that tell of changes are cut or fall silent, at random moments and for one instance at a
//! time: what changed meanwhile is told to nobody, so all that was at hand must go.

use std::cell::Cell;
use std::time::Duration;

use keylatch::{Builder, Keylatch};

use super::By;
use crate::failover::torture::{Figures, assert_nothing_is_old, pause, run_by};
use crate::support::RedisServer;
use crate::support::proxy::Proxy;

/// Few, so that most are at hand when a connection is lost.
const IDS: usize = 30;
const FAULTS: usize = 20;

/// One proxy for each of three instances.
async fn cut_at_random(ways: &'static [By], rules: impl Fn(Builder) -> Builder) -> Figures {
    let server = RedisServer::start();
    let proxies =
        [Proxy::to(server.port()).await, Proxy::to(server.port()).await, Proxy::to(server.port()).await];
    let next = Cell::new(0);
    let builder = || {
        let proxy = &proxies[next.replace(next.get() + 1) % proxies.len()];
        rules(Keylatch::builder().redis_url(proxy.url()))
    };
    run_by(IDS, ways, builder, async |_| {
        // Until most entries are at hand.
        tokio::time::sleep(Duration::from_millis(1_200)).await;
        for fault in 0..FAULTS {
            pause(fastrand::u64(20..120)).await;
            let proxy = &proxies[fastrand::usize(0..proxies.len())];
            // Silence is noticed after two seconds at most, so there is less of it.
            if fault == FAULTS / 2 { proxy.silence() } else { proxy.cut() }
        }
        // The last silence is noticed, while writers go on.
        tokio::time::sleep(Duration::from_millis(2_500)).await;
    })
    .await
}

async fn nothing_stale_stays(ways: &'static [By]) {
    let figures = cut_at_random(ways, |builder| builder).await;
    assert_nothing_is_old(&format!("cut at random, {ways:?}"), &figures);
    assert!(figures.at_hand > 0, "nothing was kept in memory: {figures:?}");
    assert!(figures.refused > 0, "nobody was cut off: {figures:?}");
    assert_eq!(figures.refreshes > 0, ways.contains(&By::Refresh), "{figures:?}");
}

/// The mutant: what is at hand stays when a connection is lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_forgetting_entries_are_stale() {
    const TRIES: u32 = 4;
    // A cut in which nothing was invalidated that is at hand is rare, but there is such a one.
    for _ in 0..TRIES {
        let figures = cut_at_random(&[By::Key], Builder::without_forgetting).await;
        eprintln!("without forgetting: {figures:?}");
        if figures.stale > 0 {
            return;
        }
    }
    panic!("nothing stale was found {TRIES} times");
}

macro_rules! ways {
    ($($name:ident: $ways:expr),* $(,)?) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            nothing_stale_stays($ways).await;
        })*
    };
}

// Each with what is made from the entry, declared and found out.
ways! {
    key: &[By::Key],
    tag: &[By::Tag],
    pattern: &[By::Pattern],
    function: &[By::Function],
    clear: &[By::Clear],
    refresh_and_key: &[By::Refresh, By::Key],
}
