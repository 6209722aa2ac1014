//! Merged reads: whoever travels together gets what he asked for, and nobody waits for what is huge for ever.

mod bounds;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use keylatch::{Key, Keylatch};
use tokio::task::JoinSet;

use crate::support::replicated::reads;
use crate::support::{RedisServer, builder};

const SMALL: u64 = 200;
const CALLERS: u64 = 64;
const HUGE: usize = 24 << 20;
const READS_OF_HUGE: u32 = 6;

/// What a small entry holds: told by its key, and of many lengths.
fn text(id: u64) -> String {
    format!("{id}:").repeat(usize::try_from(id % 50 + 1).expect("a small number"))
}

async fn small(cache: &Keylatch, id: u64) -> Option<String> {
    cache.entry(Key::of("small").part(&id)).get().await.expect("the server answers")
}

async fn filled(server: &RedisServer) -> Keylatch {
    // A huge value takes its time, and what is asked here is who waits for it.
    let settings = builder(server).local_memory_limit(0).cache_timeout(Duration::from_secs(30));
    let settings = settings.command_timeout(Duration::from_secs(30));
    let cache = settings.build().expect("good settings");
    for id in 0..SMALL {
        cache.entry(Key::of("small").part(&id)).put(text(id)).await.expect("the server answers");
    }
    cache
}

/// Callers of small entries, each of which checks every answer, until they are told to stop; how many answers they have had.
fn callers(cache: &Keylatch, stop: &Arc<AtomicBool>, answers: &Arc<AtomicU64>) -> JoinSet<()> {
    let mut callers = JoinSet::new();
    for caller in 0..CALLERS {
        let (cache, stop, answers) = (cache.clone(), Arc::clone(stop), Arc::clone(answers));
        callers.spawn(async move {
            let mut rng = fastrand::Rng::with_seed(caller);
            while !stop.load(Ordering::SeqCst) {
                let id = rng.u64(0..2 * SMALL);
                // Every fourth is dropped somewhere on its way.
                if rng.u8(0..4) == 0 {
                    let limit = Duration::from_micros(rng.u64(0..500));
                    let _dropped = tokio::time::timeout(limit, small(&cache, id)).await;
                    continue;
                }
                // Half of them ask for what is not there, so that a shift by one would show.
                assert_eq!(small(&cache, id).await, (id < SMALL).then(|| text(id)), "{id}");
                answers.fetch_add(1, Ordering::SeqCst);
            }
        });
    }
    callers
}

/// The answers have an order, callers come and go, and each of the others gets his own.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_caller_gets_his_own_beside_others_that_are_dropped() {
    let server = RedisServer::start();
    let cache = filled(&server).await;
    server.forget_calls();
    let (stop, answers) = (Arc::default(), Arc::default());
    let callers = callers(&cache, &stop, &answers);
    while answers.load(Ordering::SeqCst) < 20_000 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    stop.store(true, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(20), callers.join_all()).await.expect("somebody hangs");
    let (answers, reads) = (answers.load(Ordering::SeqCst), reads(&server));
    eprintln!("{answers} answers by {reads} commands");
    assert!(reads < answers / 4, "they were not merged: {reads} commands for {answers} answers");
}

/// While somebody reads one huge value after the other, callers of small ones are answered in between, and travel together.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_huge_value_does_not_hold_up_the_rest() {
    let server = RedisServer::start_with(&["--proto-max-bulk-len", "536870912"]);
    let cache = filled(&server).await;
    let huge = || cache.entry("huge");
    huge().put("h".repeat(HUGE)).await.expect("the server answers");
    server.forget_calls();
    let (stop, answers) = (Arc::default(), Arc::default());
    let callers = callers(&cache, &stop, &answers);
    let mut meanwhile = Vec::new();
    for _ in 0..READS_OF_HUGE {
        let before = answers.load(Ordering::SeqCst);
        let read: Option<String> = huge().get().await.expect("the server answers");
        assert_eq!(read.map(|text| text.len()), Some(HUGE));
        meanwhile.push(answers.load(Ordering::SeqCst) - before);
        // Reads are merged again, with the next huge one among them.
        let again = answers.load(Ordering::SeqCst) + 5 * CALLERS;
        while answers.load(Ordering::SeqCst) < again {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    tokio::time::timeout(Duration::from_secs(20), callers.join_all()).await.expect("somebody hangs");
    eprintln!("answers to others while a huge value was read: {meanwhile:?}");
    // Whoever travels with it waits for it once; were it more, nobody but these would have been answered.
    assert!(meanwhile.iter().sum::<u64>() > u64::from(READS_OF_HUGE) * CALLERS, "{meanwhile:?}");
    // Were nobody merged, none of them could have waited for it: each answer would have been a command, and each call that was
    // dropped one more. After a huge value they do go by themselves for a while, which is less than what follows.
    let (answers, reads) = (answers.load(Ordering::SeqCst), reads(&server));
    eprintln!("{answers} answers by {reads} commands");
    assert!(reads < answers, "they were not merged: {reads} commands for {answers} answers");
}

/// Reads of 64 callers at once; how many commands that took.
async fn commands_of_many(auto_pipelining: bool) -> u64 {
    let server = RedisServer::start();
    let settings = builder(&server).local_memory_limit(0).enable_auto_pipelining(auto_pipelining);
    let cache = settings.build().expect("good settings");
    for id in 0..CALLERS {
        cache.entry(Key::of("small").part(&id)).put(text(id)).await.expect("the server answers");
    }
    let before = reads(&server);
    let found = join_all((0..CALLERS).map(|id| small(&cache, id))).await;
    assert_eq!(found, (0..CALLERS).map(|id| Some(text(id))).collect::<Vec<_>>());
    reads(&server) - before
}

#[tokio::test]
async fn callers_share_commands_unless_they_are_not_to() {
    let (shared, apart) = (commands_of_many(true).await, commands_of_many(false).await);
    assert!(shared < CALLERS / 4, "{shared}");
    assert!(apart >= CALLERS, "{apart}");
}
