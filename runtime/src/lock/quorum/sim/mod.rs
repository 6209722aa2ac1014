//! The real code of the quorum against masters in memory, on a virtual clock, over a network drawn from a seed. A seed replays
//! its run exactly.

mod client;
mod network;
mod server;

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use super::{Quorum, QuorumRules, Tokens};
use crate::clock;
use crate::key::Key;
use client::{Client, Held, History, Stuttering, TTL, Wall};
use network::{Post, SimMaster, Way, Weather, draw};
use server::{Faults, Server};

/// What a run is like.
#[derive(Debug, Clone, Copy)]
struct Setup {
    rules: QuorumRules,
    faults: Faults,
    /// Clocks of servers are set, and counters expire: leases end at arbitrary moments.
    set_clocks: bool,
}

const SOUND: Setup = Setup {
    rules: QuorumRules {
        tokens: Tokens::Raised,
        check_elapsed: true,
        rest_after_restart: true,
        repair_in_time_only: true,
    },
    faults: Faults { ignores_values: false, raises_for_all: false, raises_from_nothing: false },
    set_clocks: false,
};

/// What a run came to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Outcome {
    history: Vec<Held>,
    /// Values that were on servers when everybody had let go for longer than any life.
    orphans: usize,
}

fn run(seed: u64, setup: Setup) -> Outcome {
    network::seed(seed);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime").block_on(simulate(setup))
}

async fn simulate(setup: Setup) -> Outcome {
    let start = clock::now();
    let after = |millis: u64| start + Duration::from_millis(millis);
    let count = if draw(|rng| rng.u8(..3)) == 0 { 5 } else { 3 };
    // Clocks go wrong by half a per cent, which is within the assumptions.
    let servers: Vec<Arc<Mutex<Server>>> = (0..count)
        .map(|index| Server::new(index, draw(|rng| rng.f64().mul_add(0.01, 0.995)), setup.faults))
        .map(|server| Arc::new(Mutex::new(server)))
        .collect();
    if setup.set_clocks {
        for server in &servers {
            server.lock().unwrap().forgets = draw(|rng| rng.u32(..30));
        }
    }
    let window = |longest: u64| {
        let (from, length) = draw(|rng| (rng.u64(..6_000), rng.u64(..longest)));
        (after(from), after(from + length))
    };
    let stopped: Vec<_> = (0..count).map(|_| (draw(|rng| rng.u8(..3)) == 0).then(|| window(1_500))).collect();
    let history = History::default();
    let post = Arc::new(Post::default());
    let delivering = Arc::clone(&post);
    tokio::spawn(async move { delivering.deliver().await });
    let mut clients = Vec::new();
    for index in 0..draw(|rng| rng.usize(2..=3)) {
        let masters = servers.iter().zip(&stopped).map(|(server, stopped)| {
            let mut cuts: Vec<_> = stopped.map(|(from, to)| (Way::Stopped, from, to)).into_iter().collect();
            for way in [Way::Requests, Way::Answers] {
                if draw(|rng| rng.u8(..6)) == 0 {
                    let (from, to) = window(2_000);
                    cuts.push((way, from, to));
                }
            }
            let weather = draw(|rng| Weather {
                delay: *rng.choice(&[1, 2, 4, 30]).unwrap(),
                late: rng.u32(..20),
                lost: rng.u32(..20),
                overtakes: rng.u32(..40),
                cuts,
            });
            SimMaster::new(server, weather, &post)
        });
        // Wall clocks differ by up to a second, so that proposals do, too; and some do not help at all.
        let (ahead, is_stuck) = draw(|rng| (rng.u64(..1_000_000), rng.bool()));
        let client = Client {
            index,
            quorum: Quorum::new(masters.collect::<Vec<_>>(), setup.rules),
            wall: Wall { ahead, is_stuck, start },
            seen: AtomicU64::new(0),
            key: Key::of("guarded"),
            rounds: draw(|rng| rng.u32(2..=3)),
            history: Arc::clone(&history),
        };
        let stops = (0..draw(|rng| rng.u8(..3))).map(|_| window(2_000)).collect();
        clients.push(tokio::spawn(Stuttering::new(client.live(), stops)));
    }
    let trouble = tokio::spawn(trouble(servers.clone(), setup.set_clocks));
    for client in clients {
        client.await.expect("a client does not panic");
    }
    trouble.abort();
    // Whatever is on its way arrives within 2.5 s, after a stop of 1.5 s; then it lives for its time and no longer.
    clock::sleep(Duration::from_secs(4) + TTL.mul_f64(1.02) + Duration::from_millis(100)).await;
    let mut history = std::mem::take(&mut *history.lock().unwrap());
    history.sort_unstable_by_key(|held| (held.from, held.client));
    let orphans = servers.iter().map(|server| server.lock().unwrap().held().len()).sum();
    Outcome { history, orphans }
}

/// Restarts servers empty, one at a time and the next when the one before may vote again; sets clocks where that is wanted.
async fn trouble(servers: Vec<Arc<Mutex<Server>>>, set_clocks: bool) {
    loop {
        clock::sleep(Duration::from_millis(draw(|rng| rng.u64(200..2_500)))).await;
        let server = &servers[draw(|rng| rng.usize(..servers.len()))];
        if set_clocks {
            let by = draw(|rng| rng.f64().mul_add(4.0, -2.0));
            server.lock().unwrap().set_clock(by);
            if draw(fastrand::Rng::bool) {
                server.lock().unwrap().forget_counters();
            }
        } else if draw(|rng| rng.u8(..3)) == 0 {
            server.lock().unwrap().restart_empty();
            clock::sleep(3 * TTL).await;
        }
    }
}

/// Whether two had the lock at once.
fn overlaps(history: &[Held]) -> bool {
    // Sorted by their beginnings: who begins before any earlier one has let go overlaps with it.
    let mut latest = None;
    history.iter().any(|held| {
        let overlaps = latest.is_some_and(|latest| held.from < latest && held.from < held.to);
        latest = latest.max(Some(held.to));
        overlaps
    })
}

/// Whether two tokens are equal, or one is not above that of a lock that had been had before it was asked for.
fn tokens_go_wrong(history: &[Held]) -> bool {
    let is_wrong = |one: &Held, other: &Held| {
        let has_one_in_common = one.tokens.0 <= other.tokens.1 && other.tokens.0 <= one.tokens.1;
        let falls = one.from < other.asked && one.tokens.1 >= other.tokens.0;
        has_one_in_common || falls
    };
    history.iter().enumerate().any(|(index, one)| {
        let others = history.iter().enumerate().filter(|(other_index, _)| *other_index != index);
        others.into_iter().any(|(_, other)| is_wrong(one, other))
    })
}

/// Without optimisation a run takes ten times as long: 20,000 of them are for `cargo nextest run --release`.
const SLOWNESS: u64 = if cfg!(debug_assertions) { 5 } else { 1 };

/// How many seeds a run takes; `KEYLATCH_SIM_SEEDS` for more, `KEYLATCH_SIM_FROM` to replay from one.
fn seeds(default: u64) -> std::ops::Range<u64> {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u64>().ok();
    let from = number("KEYLATCH_SIM_FROM").unwrap_or(0);
    from..from + number("KEYLATCH_SIM_SEEDS").unwrap_or(default)
}

/// The first of those seeds whose run shows the fault.
fn first_that(
    mut seeds: std::ops::Range<u64>,
    setup: Setup,
    fault: impl Fn(&Outcome) -> bool,
) -> Option<u64> {
    seeds.find(|seed| fault(&run(*seed, setup)))
}

fn check(
    setup: Setup,
    seeds: std::ops::Range<u64>,
    check: impl Fn(u64, &Outcome) + Copy + Send + Sync,
) -> u64 {
    let halves = seeds.start.midpoint(seeds.end);
    let had = |seeds: std::ops::Range<u64>| {
        let mut had = 0;
        for seed in seeds {
            let outcome = run(seed, setup);
            check(seed, &outcome);
            had += outcome.history.len() as u64;
        }
        had
    };
    std::thread::scope(|scope| {
        let other = scope.spawn(|| had(seeds.start..halves));
        had(halves..seeds.end) + other.join().expect("no seed fails")
    })
}

#[test]
fn nobody_shares_the_lock_tokens_grow_and_nothing_is_left() {
    let seeds = seeds(14_000 / SLOWNESS);
    let count = seeds.end - seeds.start;
    let had = check(SOUND, seeds, |seed, outcome| {
        assert!(!overlaps(&outcome.history), "seed {seed}: two had it at once: {:#?}", outcome.history);
        assert!(!tokens_go_wrong(&outcome.history), "seed {seed}: tokens: {:#?}", outcome.history);
        assert_eq!(outcome.orphans, 0, "seed {seed}: something is left");
    });
    assert!(2 * had > 5 * count, "a run that gets no locks shows nothing: {had} in {count}");
}

#[test]
fn tokens_grow_even_when_leases_end_at_arbitrary_moments() {
    let setup = Setup { set_clocks: true, ..SOUND };
    let seeds = seeds(6_000 / SLOWNESS);
    check(setup, seeds, |seed, outcome| {
        assert!(!tokens_go_wrong(&outcome.history), "seed {seed}: tokens: {:#?}", outcome.history);
    });
    // The clocks do make two have it at once, so the tokens are needed.
    assert!(first_that(0..2_000, setup, |outcome| overlaps(&outcome.history)).is_some());
}

#[test]
fn a_seed_replays_its_run() {
    for seed in 0..20 {
        let times = |outcome: Outcome| -> Vec<(usize, (u64, u64), Duration)> {
            let held = outcome.history.iter();
            held.map(|held| (held.client, held.tokens, held.to - held.from)).collect()
        };
        assert_eq!(times(run(seed, SOUND)), times(run(seed, SOUND)));
    }
}

/// How many seeds a fault may take to be found.
const MUTANT_SEEDS: u64 = 3_000;

#[test]
fn tokens_that_no_majority_stands_for_are_noticed() {
    for tokens in [Tokens::Highest, Tokens::HighestAndOne] {
        let setup = Setup { rules: QuorumRules { tokens, ..SOUND.rules }, ..SOUND };
        let found = first_that(0..MUTANT_SEEDS, setup, |outcome| tokens_go_wrong(&outcome.history));
        assert!(found.is_some(), "{tokens:?} went unnoticed");
    }
}

#[test]
fn raising_counters_of_locks_that_are_not_held_is_noticed() {
    let faults = Faults { raises_for_all: true, ..SOUND.faults };
    let setup = Setup { faults, set_clocks: true, ..SOUND };
    // One in five thousand runs shows it; this is where the first of them was.
    let seeds = 5_000..5_000 + MUTANT_SEEDS;
    assert!(first_that(seeds, setup, |outcome| tokens_go_wrong(&outcome.history)).is_some());
}

#[test]
fn raising_forgotten_counters_from_nothing_is_noticed() {
    let faults = Faults { raises_from_nothing: true, ..SOUND.faults };
    let setup = Setup { faults, set_clocks: true, ..SOUND };
    // One in four thousand runs shows it; this is where the first of them was.
    let seeds = 2_150..2_150 + MUTANT_SEEDS;
    assert!(first_that(seeds, setup, |outcome| tokens_go_wrong(&outcome.history)).is_some());
}

#[test]
fn servers_that_do_not_compare_values_are_noticed() {
    let faults = Faults { ignores_values: true, ..SOUND.faults };
    let setup = Setup { faults, ..SOUND };
    assert!(first_that(0..MUTANT_SEEDS, setup, |outcome| overlaps(&outcome.history)).is_some());
}

#[test]
fn each_safety_rule_is_needed() {
    let rules = SOUND.rules;
    let broken = [
        ("elapsed time", QuorumRules { check_elapsed: false, ..rules }),
        ("rest after a restart", QuorumRules { rest_after_restart: false, ..rules }),
        ("repair in time", QuorumRules { repair_in_time_only: false, ..rules }),
    ];
    for (name, rules) in broken {
        let found =
            first_that(0..MUTANT_SEEDS, Setup { rules, ..SOUND }, |outcome| overlaps(&outcome.history));
        assert!(found.is_some(), "without the rule of {name}, nothing was found");
    }
}
