//! R19 over several masters: histories recorded while masters stop, forget and are cut off, judged by the checker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use keylatch::Builder;
use tokio::task::JoinSet;

use super::{Masters, over};
use crate::lock_proof::recorder::{Recorder, Tally};
use crate::support::proxy::Mode;
use crate::support::{Proxy, length};

const TTL: Duration = Duration::from_millis(500);
const TASKS: usize = 2;
/// The masters that each instance cannot reach: the first two have one master in common, the last one reaches all.
const CUT_OFF: [&[usize]; 3] = [&[2], &[0], &[]];
const IN_COMMON: usize = 1;

/// One history of that length.
async fn history(seed: u64, length: Duration, change: fn(Builder) -> Builder) -> (Tally, Result<(), String>) {
    let mut masters = Masters::start(3);
    let recorder = Arc::new(Recorder::new());
    let ends = Instant::now() + length;
    let mut rng = Rng::with_seed(seed);
    let (mut ways, mut tasks) = (Vec::new(), JoinSet::new());
    for (instance, cut_off) in CUT_OFF.iter().enumerate() {
        let mine = masters.proxies().await;
        let builder = over(mine.iter().map(Proxy::url)).command_timeout(TTL * 4).connect_timeout(TTL * 4);
        let cache = change(builder).build().expect("good settings");
        if instance == 0 {
            // The namespace is known everywhere.
            cache.lock("recorded").ttl(TTL).acquire().await.unwrap().release().await.unwrap();
        }
        for &master in *cut_off {
            mine[master].set(Mode::Refuse);
        }
        ways.push(mine);
        for task in 0..TASKS {
            let (cache, recorder, rng) = (cache.clone(), Arc::clone(&recorder), rng.fork());
            tasks.spawn(async move {
                let next = |rng: &mut Rng| {
                    let lock = cache.lock("recorded").ttl(TTL).wait(TTL * rng.u32(0..4)).fence();
                    (lock, rng.u32(1..20), Duration::from_millis(rng.u64(0..50)))
                };
                recorder.visits(&format!("{instance}-{task}"), ends, rng, next).await;
            });
        }
    }
    while Instant::now() < ends {
        fault(&mut masters, &ways, &mut rng).await;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    Arc::try_unwrap(recorder).expect("all tasks have ended").judge()
}

/// Something happens to a master, or to the way of one instance to it, and is over.
async fn fault(masters: &mut Masters, ways: &[Vec<Proxy>], rng: &mut Rng) {
    let length = TTL.mul_f64(rng.f64());
    let (instance, master) = (rng.usize(0..ways.len()), rng.usize(0..masters.servers.len()));
    let way = Some(&ways[instance][master]).filter(|_| !CUT_OFF[instance].contains(&master));
    match (rng.u32(0..8), way) {
        (0, Some(way)) => way.set(Mode::Hold),
        (1, Some(way)) => way.set(Mode::SwallowAnswers),
        (2, Some(way)) => way.set(Mode::Delay(length / 8)),
        (3, Some(way)) => way.cut(),
        (4, _) => masters.servers[master].signal("STOP"),
        _ => tokio::task::block_in_place(|| {
            masters.servers[IN_COMMON].kill();
            masters.servers[IN_COMMON].restart();
        }),
    }
    tokio::time::sleep(length).await;
    masters.servers[master].signal("CONT");
    if let Some(way) = way {
        way.set(Mode::Pass);
    }
    tokio::time::sleep((TTL / 2).mul_f64(rng.f64())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_is_that_of_a_lock() {
    let (seeds, each) = match length::long() {
        Some(_) => (20, Duration::from_secs(60)),
        None => (2, Duration::from_secs(4)),
    };
    let first = std::env::var("KEYLATCH_LOCK_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = first.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let mut felt = 0;
    for seed in first..first + seeds {
        let (tally, verdict) = history(seed, each, |builder| builder).await;
        eprintln!("KEYLATCH_LOCK_SEED={seed}: {tally:?}, {verdict:?}");
        assert_eq!(verdict, Ok(()), "KEYLATCH_LOCK_SEED={seed}");
        assert!(tally.had > 5, "too little happened: {tally:?}");
        felt += tally.lost + tally.unknown;
    }
    assert!(felt > 0, "no fault was felt by anybody: what was judged is a lock on quiet masters");
}

/// The mutant: masters vote right after they have forgotten everything.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn masters_that_vote_too_soon_are_found_out() {
    for seed in 0..24 {
        let (tally, verdict) =
            history(seed, Duration::from_secs(5), Builder::without_rest_after_restart).await;
        eprintln!("seed {seed}: {tally:?}, {verdict:?}");
        if verdict.is_err() {
            return;
        }
    }
    panic!("the test does not bite");
}
