//! R1: a counter in a file that processes and their tasks share: exact, and never two inside.

use std::fs;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use keylatch::Keylatch;

use crate::lock_history::{History, check};
use crate::support::{RedisServer, child, length};

const PROCESSES: u32 = 4;
const TASKS: u32 = 8;

/// Nanoseconds of a clock that all processes of this machine share.
fn now() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos()
}

/// Read, add one, write: exact only if nobody else does so in between. What another has just emptied counts as nothing.
async fn increment(file: &Path) {
    let value: u32 = fs::read_to_string(file).unwrap().parse().unwrap_or_default();
    tokio::task::yield_now().await;
    fs::write(file, (value + 1).to_string()).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_counts() {
    let Some(argument) = child::argument("child_counts") else { return };
    let words: Vec<&str> = argument.split(' ').collect();
    let [url, directory, name, rounds, guarded] = words[..] else { panic!("{argument}") };
    let (directory, rounds) = (Path::new(directory), rounds.parse::<u32>().unwrap());
    let cache = Keylatch::builder().redis_url(url).namespace("test").build().expect("good settings");
    let log = std::sync::Mutex::new(fs::File::create(directory.join(format!("log-{name}"))).unwrap());
    let tasks = (0..TASKS).map(|task| {
        let (cache, log) = (&cache, &log);
        async move {
            for round in 0..rounds {
                // The mutant has a lock for each process.
                let key = if guarded == "guarded" { "counter".to_owned() } else { format!("counter-{name}") };
                let lock =
                    cache.lock(&*key).ttl(Duration::from_secs(10)).wait(Duration::from_secs(60)).fence();
                let asked = now();
                let counted = lock.run(async |lease| {
                    let entered = now();
                    increment(&directory.join("counter")).await;
                    let left = now();
                    lease.check().expect("ten seconds have not passed");
                    let (token, who) = (lease.token().unwrap(), format!("{name}-{task}-{round}"));
                    let line = format!(
                        "{who} get {asked}-{entered} #{token}; {who} rely {entered}; {who} rely {left};\n"
                    );
                    log.lock().unwrap().write_all(line.as_bytes()).unwrap();
                });
                counted.await.unwrap();
            }
        }
    });
    futures_util::future::join_all(tasks).await;
}

/// What the counter says, of how many, and what the checker says of the intervals.
fn count(guarded: &str, rounds: u32) -> (u32, u32, Result<(), String>) {
    let (server, directory) = (RedisServer::start(), tempfile::tempdir().unwrap());
    fs::write(directory.path().join("counter"), "0").unwrap();
    let start = |name| {
        let argument = format!("{} {} p{name} {rounds} {guarded}", server.url(), directory.path().display());
        child::start("lock_proof::counter::child_counts", &argument)
    };
    let mut children: Vec<_> = (0..PROCESSES).map(start).collect();
    let succeeded =
        children.iter_mut().filter_map(|child| child.wait().unwrap().success().then_some(())).count();
    let logs = (0..PROCESSES).map(|name| fs::read_to_string(directory.path().join(format!("log-p{name}"))));
    let history = History::parse(&logs.map(Result::unwrap).collect::<String>());
    let verdict = check(&history).map_err(|(fault, who)| format!("{fault:?}: {who}"));
    let value = fs::read_to_string(directory.path().join("counter")).unwrap().parse().unwrap_or(0);
    assert!(guarded != "guarded" || succeeded == children.len(), "a child failed");
    (value, PROCESSES * TASKS * rounds, verdict)
}

#[test]
fn every_increment_of_every_process_counts() {
    let rounds = if length::long().is_some() { 625 } else { 60 };
    let (value, of, verdict) = count("guarded", rounds);
    eprintln!("{value} of {of} increments, {verdict:?}");
    assert_eq!((value, verdict), (of, Ok(())));
}

/// The mutant: with a lock for each process increments are lost, and the intervals overlap.
#[test]
fn without_a_common_lock_increments_are_lost() {
    let (value, of, verdict) = count("unguarded", 20);
    eprintln!("{value} of {of} increments, {verdict:?}");
    assert!(value < of, "the test does not bite");
    assert!(verdict.is_err(), "the checker does not bite");
}
