//! R19: histories recorded under a mix of faults of network and server, judged by the checker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use keylatch::Keylatch;

use super::recorder::{Recorder, Tally};
use crate::support::proxy::Mode;
use crate::support::{Proxy, RedisServer, length};

const TTL: Duration = Duration::from_millis(150);
const INSTANCES: usize = 3;
const TASKS: usize = 3;

/// Which client does this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Client {
    Ours,
    /// It frees the lock whoever has it.
    ReleasesAnothers,
}

/// One history of that length.
async fn history(seed: u64, length: Duration, client: Client) -> (Tally, Result<(), String>) {
    let server = RedisServer::start();
    let mut proxies = Vec::new();
    for _ in 0..INSTANCES {
        proxies.push(Proxy::to(server.port()).await);
    }
    let recorder = Arc::new(Recorder::new());
    let ends = Instant::now() + length;
    let mut rng = Rng::with_seed(seed);
    let mut tasks = tokio::task::JoinSet::new();
    for (instance, proxy) in proxies.iter().enumerate() {
        let builder = Keylatch::builder().redis_url(proxy.url()).namespace("test");
        let builder = builder.command_timeout(TTL * 4).connect_timeout(TTL * 4);
        let builder = if client == Client::Ours { builder } else { builder.without_lock_value_check() };
        let cache = builder.build().expect("good settings");
        for task in 0..TASKS {
            let (cache, recorder, rng) = (cache.clone(), Arc::clone(&recorder), rng.fork());
            tasks.spawn(async move {
                let next = |rng: &mut Rng| {
                    let lock = cache.lock("recorded").ttl(TTL).wait(TTL * rng.u32(0..5)).fence();
                    (lock, rng.u32(1..8), Duration::from_millis(rng.u64(0..20)))
                };
                recorder.visits(&format!("{instance}-{task}"), ends, rng, next).await;
            });
        }
    }
    while Instant::now() < ends {
        fault(&server, &proxies[rng.usize(0..INSTANCES)], &mut rng).await;
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no task panics");
    }
    let began = Instant::now();
    let judged = Arc::try_unwrap(recorder).expect("all tasks have ended").judge();
    assert!(began.elapsed() < Duration::from_secs(10), "judging took {:?}", began.elapsed());
    judged
}

/// Something happens to the server or to the way of one client, and is over.
async fn fault(server: &RedisServer, proxy: &Proxy, rng: &mut Rng) {
    let length = (TTL * 2).mul_f64(rng.f64());
    match rng.u32(0..8) {
        0..=2 => proxy.set(Mode::Hold),
        3 => proxy.set(Mode::SwallowAnswers),
        4 => proxy.set(Mode::Delay(length / 8)),
        5 => proxy.cut(),
        6 => server.signal("STOP"),
        _ => drop(server.query(&["SCRIPT", "FLUSH"])),
    }
    tokio::time::sleep(length).await;
    server.signal("CONT");
    proxy.set(Mode::Pass);
    tokio::time::sleep(TTL.mul_f64(rng.f64())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_history_is_that_of_a_lock() {
    let (seeds, each) = match length::long() {
        Some(_) => (20, Duration::from_secs(60)),
        None => (3, Duration::from_secs(3)),
    };
    let first = std::env::var("KEYLATCH_LOCK_SEED").ok().and_then(|seed| seed.parse().ok());
    let first = first.unwrap_or_else(|| fastrand::u64(..u64::MAX / 2));
    let mut felt = 0;
    for seed in first..first + seeds {
        let (tally, verdict) = history(seed, each, Client::Ours).await;
        eprintln!("KEYLATCH_LOCK_SEED={seed}: {tally:?}, {verdict:?}");
        assert_eq!(verdict, Ok(()), "KEYLATCH_LOCK_SEED={seed}");
        assert!(tally.had > 20, "too little happened: {tally:?}");
        felt += tally.lost + tally.unknown;
    }
    assert!(felt > 0, "no fault was felt by anybody: what was judged is a lock on a quiet server");
}

/// The mutant: a client that frees whatever lies at the key is found out within twenty histories.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_frees_anothers_lock_is_found_out() {
    for seed in 0..20 {
        let (tally, verdict) = history(seed, Duration::from_secs(4), Client::ReleasesAnothers).await;
        eprintln!("seed {seed}: {tally:?}, {verdict:?}");
        if verdict.is_err() {
            return;
        }
    }
    panic!("the test does not bite");
}
