//! Those who wait: in their order across processes, handed the lock without asking for it, soon also when a message is lost
//! or one of them has died, and without leaving anything behind.

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keylatch::redis::AsyncCommands;
use keylatch::{Keylatch, LockBuilder, LockError};

use super::{in_child, lock};
use crate::support::room::Room;
use crate::support::{RedisServer, child, keylatch, signal, until};

const TTL: Duration = Duration::from_secs(10);
/// Those who are told late.
const LATE: usize = 6;
/// How long whoever was handed the lock has to answer.
const CLAIM: Duration = Duration::from_millis(500);

fn waiting(cache: &Keylatch) -> LockBuilder {
    lock(cache, TTL).wait(Duration::from_secs(60))
}

fn queue_len(server: &RedisServer) -> usize {
    let answer = server.command("LLEN {test#lock:shared}#queue").expect("the server answers");
    answer.trim_start_matches(':').parse().expect("a number")
}

/// How many turns there have been, in a file that all processes share.
fn turns(file: &str) -> u64 {
    fs::read_to_string(file).unwrap().parse().unwrap_or(0)
}

/// `tasks` of one process work a millisecond at a time behind one lock for some seconds. Each wait is counted in turns of others,
/// which a busy machine does not change.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_takes_turns() {
    let Some(argument) = child::argument("child_takes_turns") else { return };
    let [url, counter, file, tasks, seconds] = argument.split(' ').collect::<Vec<_>>()[..] else {
        panic!("five words")
    };
    let cache = in_child(url);
    let (began, length) = (Instant::now(), Duration::from_secs(seconds.parse().unwrap()));
    let task = async || {
        let mut waits = Vec::new();
        while began.elapsed() < length {
            let asked = turns(counter);
            waiting(&cache)
                .run(async |_lease| {
                    let turn = turns(counter);
                    // A file that is being written may be read as an empty one.
                    if began.elapsed() > Duration::from_secs(1) && asked > 0 {
                        waits.push(turn - asked);
                    }
                    fs::write(counter, (turn + 1).to_string()).unwrap();
                    tokio::time::sleep(Duration::from_millis(1)).await;
                })
                .await
                .unwrap();
        }
        waits
    };
    let waits: Vec<u64> =
        join_all((0..tasks.parse().unwrap()).map(|_| task())).await.into_iter().flatten().collect();
    let text: Vec<String> = waits.iter().map(u64::to_string).collect();
    fs::write(file, text.join(" ")).unwrap();
}

/// R12: `tasks` of each of several processes have their turns in the order in which they ask, and nobody waits for much longer
/// than the others.
fn take_turns(processes: u64, tasks: u64, seconds: u64) {
    let server = RedisServer::start();
    let counter = tempfile::NamedTempFile::new().unwrap();
    let files: Vec<_> = (0..processes).map(|_| tempfile::NamedTempFile::new().unwrap()).collect();
    let start = |file: &tempfile::NamedTempFile| {
        let (counter, file) = (counter.path().display(), file.path().display());
        child::start(
            "locks::waiting::child_takes_turns",
            &format!("{} {counter} {file} {tasks} {seconds}", server.url()),
        )
    };
    let mut children: Vec<_> = files.iter().map(start).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    let text: String = files.iter().map(|file| fs::read_to_string(file.path()).unwrap() + " ").collect();
    let mut waits: Vec<u64> = text.split_whitespace().map(|wait| wait.parse().unwrap()).collect();
    waits.sort_unstable();
    assert!(waits.len() > 100, "{} turns", waits.len());
    let (median, longest) = (waits[waits.len() / 2], waits[waits.len() - 1]);
    assert!(longest <= 3 * median, "{processes} processes: median {median} turns, longest {longest}");
    let (sum, count) = (waits.iter().sum::<u64>(), waits.len() as u64);
    eprintln!("{processes} processes: {count} waits, mean {} turns, longest {longest}", sum / count);
    assert!(
        longest * count < 5 * sum,
        "{processes} processes: {sum} turns in {count} waits, longest {longest}"
    );
    // Nobody has two turns while another waits for his first: whoever asks is behind all others, and those alone.
    let all = processes * tasks;
    assert!(median + 1 >= all / 2 && longest <= 3 * all, "of {all}: median {median}, longest {longest}");
}

#[test]
fn processes_have_their_turns_in_order() {
    for (processes, tasks) in [(8, 1), (4, 8)] {
        take_turns(processes, tasks, 3);
    }
}

/// For a minute each: eight of one task, 32 of one, and four of eight, which hand it on among themselves.
#[test]
fn soak_processes_have_their_turns_in_order() {
    for (processes, tasks) in [(8, 1), (32, 1), (4, 8)] {
        take_turns(processes, tasks, 60);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_goes_to_who_waited_longest_and_nobody_overtakes() {
    let server = RedisServer::start();
    let instances: Vec<Keylatch> = (0..6).map(|_| keylatch(&server)).collect();
    let holder = waiting(&instances[0]).acquire().await.unwrap();
    let mut waiters = Vec::new();
    for (index, cache) in instances[1..5].iter().enumerate() {
        let cache = cache.clone();
        waiters.push(tokio::spawn(async move { waiting(&cache).acquire().await.unwrap() }));
        until("it queues", || queue_len(&server) == index + 1).await;
    }
    let mut holder = Some(holder);
    for waiter in waiters {
        holder.take().expect("somebody holds it").release().await.unwrap();
        // The server has given it to the next one by now, also if that one does not know yet.
        let overtaking = lock(&instances[5], TTL).wait(Duration::ZERO).acquire().await;
        assert!(matches!(overtaking, Err(LockError::Busy { .. })), "{overtaking:?}");
        let soon = tokio::time::timeout(Duration::from_millis(200), waiter).await;
        holder = Some(soon.expect("without being asked for").unwrap());
    }
    holder.take().expect("somebody holds it").release().await.unwrap();
    assert_eq!(server.key_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn within_a_process_it_goes_from_hand_to_hand() {
    let server = RedisServer::start();
    let (cache, room) = (keylatch(&server), Arc::new(Room::default()));
    waiting(&cache).run(async |_lease| ()).await.unwrap();
    let before = server.commands();
    let tasks = (0..16).map(|_| {
        let (cache, room) = (cache.clone(), Arc::clone(&room));
        tokio::spawn(async move {
            for _ in 0..25 {
                waiting(&cache).run(async |_lease| room.visit(tokio::task::yield_now()).await).await.unwrap();
            }
        })
    });
    for ended in join_all(tasks).await {
        ended.expect("everybody was let in");
    }
    let commands = server.commands() - before;
    assert_eq!((room.entered(), room.most()), (400, 1));
    // A request for each burst, of up to 16 of them, or one where nobody waits.
    assert!(commands < 400, "{commands} commands for 400 grants");
}

/// Every third message is dropped: some wait until they look, and nobody longer.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_message_costs_a_bounded_delay() {
    let mut slow = [0, 0];
    for (slow, nth) in slow.iter_mut().zip([0, 3]) {
        let server = RedisServer::start();
        keylatch::__private::drop_every_nth_push(nth);
        let instances = [keylatch(&server), keylatch(&server)];
        let task = async |cache: &Keylatch| {
            let mut waits = Vec::new();
            for _ in 0..12 {
                let asked = Instant::now();
                waiting(cache)
                    .run(async |_lease| tokio::time::sleep(Duration::from_millis(2)).await)
                    .await
                    .unwrap();
                waits.push(asked.elapsed());
            }
            waits
        };
        let waits: Vec<_> = join_all(instances.iter().map(task)).await.into_iter().flatten().collect();
        keylatch::__private::drop_every_nth_push(0);
        let longest = waits.iter().max().expect("some waited");
        // Whoever is not told looks half a claim after it has queued; there is one other.
        assert!(*longest < CLAIM, "{waits:?}");
        *slow = waits.iter().filter(|wait| **wait > CLAIM / 4).count();
    }
    assert!(slow[0] < slow[1] && slow[1] >= 3, "{slow:?}: no message was lost");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_queues() {
    let Some(argument) = child::argument("child_queues") else { return };
    let cache = in_child(&argument);
    waiting(&cache).run(async |_lease| ()).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_died_in_the_queue_are_passed_over() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let guard = waiting(&cache).acquire().await.unwrap();
    let mut children: Vec<_> =
        (0..20).map(|_| child::start("locks::waiting::child_queues", &server.url())).collect();
    until("all queue", || queue_len(&server) == 20).await;
    for child in children.iter_mut().step_by(2) {
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let began = Instant::now();
    guard.release().await.unwrap();
    for child in children.iter_mut().skip(1).step_by(2) {
        assert!(child.wait().unwrap().success());
    }
    let took = began.elapsed();
    assert!(took <= CLAIM * 10, "{took:?}");
    assert_eq!(server.key_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_silent_loses_its_turn() {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    let guard = waiting(&one).acquire().await.unwrap();
    let mut silent = child::start("locks::waiting::child_queues", &server.url());
    until("it queues", || queue_len(&server) == 1).await;
    let next = tokio::spawn(async move { waiting(&two).acquire().await.unwrap() });
    until("the next one queues", || queue_len(&server) == 2).await;
    signal(silent.id(), "STOP");
    let began = Instant::now();
    guard.release().await.unwrap();
    let next = next.await.unwrap();
    let waited = began.elapsed();
    assert!(waited >= CLAIM.mul_f64(0.9) && waited < CLAIM * 3, "{waited:?}");
    signal(silent.id(), "CONT");
    tokio::time::sleep(Duration::from_millis(100)).await;
    next.lease().check().expect("the silent one does not disturb");
    next.release().await.unwrap();
    assert!(silent.wait().unwrap().success(), "it had its turn after all");
}

/// Whoever comes in finds nobody inside.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_comes_in() {
    let Some(argument) = child::argument("child_comes_in") else { return };
    let cache = in_child(&argument);
    let mut redis = cache.connection().expect("it is on Redis");
    let found: Option<String> =
        waiting(&cache).run(async |_lease| redis.get("inside").await.unwrap()).await.unwrap();
    assert_eq!(found, None, "somebody is inside");
}

/// Several are handed the lock while they are stopped, so that it goes to another. When they go on they ask, at their time, and
/// are told that it is another's; and then comes the message.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn those_who_are_told_late_do_not_have_it() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let guard = waiting(&cache).acquire().await.unwrap();
    let late: Vec<_> =
        (0..LATE).map(|_| child::start("locks::waiting::child_comes_in", &server.url())).collect();
    until("all queue", || queue_len(&server) == LATE).await;
    for child in &late {
        signal(child.id(), "STOP");
    }
    let next = tokio::spawn(waiting(&cache).acquire());
    guard.release().await.unwrap();
    let next = next.await.unwrap().unwrap();
    server.query(&["SET", "inside", "somebody"]).unwrap();
    for child in &late {
        signal(child.id(), "CONT");
    }
    until("all ask again", || queue_len(&server) == LATE).await;
    // One that relied on the old message would come in now; those who do not ask, at their times, twice each on average.
    let asked = server.calls("evalsha");
    until("they do not ask any more", || server.calls("evalsha") >= asked + 2 * LATE as u64).await;
    next.lease().check().expect("it is not lost meanwhile");
    server.query(&["DEL", "inside"]).unwrap();
    next.release().await.unwrap();
    for mut child in late {
        assert!(child.wait().unwrap().success(), "it came in while somebody was inside");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_gives_up_leaves_the_queue() {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    let guard = waiting(&one).acquire().await.unwrap();
    let timeout = lock(&two, TTL).wait(Duration::from_millis(80)).acquire().await;
    assert!(matches!(timeout, Err(LockError::Timeout { .. })), "{timeout:?}");
    until("it left the queue", || queue_len(&server) == 0).await;
    let dropped = {
        let two = two.clone();
        tokio::spawn(async move { waiting(&two).acquire().await })
    };
    until("it queues", || queue_len(&server) == 1).await;
    dropped.abort();
    until("it left the queue", || queue_len(&server) == 0).await;
    guard.release().await.unwrap();
    assert_eq!(server.key_count(), 0);
}

/// Waiters of one process share a place; when the one that asks gives up, another asks in its place.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_place_in_the_queue_is_inherited() {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    let guard = waiting(&one).acquire().await.unwrap();
    let waiter = |wait| {
        let two = two.clone();
        tokio::spawn(async move { lock(&two, TTL).wait(wait).acquire().await })
    };
    let first = waiter(Duration::from_secs(30));
    until("it queues", || queue_len(&server) == 1).await;
    let second = waiter(Duration::from_secs(30));
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(queue_len(&server), 1, "one place for the process");
    first.abort();
    tokio::time::sleep(Duration::from_millis(20)).await;
    guard.release().await.unwrap();
    let soon = tokio::time::timeout(CLAIM, second).await;
    soon.expect("it inherited the place").unwrap().unwrap().release().await.unwrap();
    assert_eq!(server.key_count(), 0);
}

/// What was lost is not handed on: the next one of the process asks, and waits for who has it now.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_that_was_lost_is_not_handed_on() {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    let ttl = Duration::from_millis(900);
    let lost = lock(&one, ttl).acquire().await.unwrap();
    server.command("DEL test#lock:shared").expect("the server answers");
    let held = waiting(&two).acquire().await.unwrap();
    let next = {
        let one = one.clone();
        tokio::spawn(async move { waiting(&one).acquire().await.unwrap() })
    };
    tokio::time::sleep(Duration::from_millis(20)).await;
    lost.lease().lost().await;
    let released = lost.release().await;
    // It is another's turn by now, or the server has said that the lock was not ours.
    assert!(
        released.is_ok() || matches!(released, Err(keylatch::ReleaseError::NotHeld { .. })),
        "{released:?}"
    );
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(!next.is_finished(), "somebody else holds it");
    held.lease().check().unwrap();
    held.release().await.unwrap();
    next.await.unwrap().release().await.unwrap();
}

/// Who has lost the lock and stays keeps nobody of the process from asking for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_that_has_lost_it_and_stays_is_not_waited_for() {
    let server = RedisServer::start();
    let cache = keylatch(&server);
    let stays = lock(&cache, Duration::from_millis(200)).extend_off().acquire().await.unwrap();
    let waits = lock(&cache, TTL).wait(Duration::from_secs(5)).acquire().await.unwrap();
    assert!(stays.lease().check().is_err());
    waits.release().await.unwrap();
    let again = lock(&cache, TTL).wait(Duration::ZERO).acquire().await.unwrap();
    assert!(matches!(stays.release().await, Err(keylatch::ReleaseError::NotHeld { .. })));
    again.lease().check().unwrap();
    again.release().await.unwrap();
    assert_eq!(server.key_count(), 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_for_messages_that_dies_is_replaced() {
    let server = RedisServer::start();
    let (one, two) = (keylatch(&server), keylatch(&server));
    for _ in 0..3 {
        let guard = waiting(&one).acquire().await.unwrap();
        let next = {
            let two = two.clone();
            tokio::spawn(async move { waiting(&two).acquire().await.unwrap() })
        };
        until("it queues", || queue_len(&server) == 1).await;
        server.query(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
        let began = Instant::now();
        guard.release().await.unwrap();
        next.await.unwrap().release().await.unwrap();
        assert!(began.elapsed() < CLAIM * 2, "{:?}", began.elapsed());
    }
}

static VISITS: AtomicU32 = AtomicU32::new(0);

/// The embedded store hands over in order, too.
#[tokio::test(start_paused = true)]
async fn the_embedded_store_keeps_the_order() {
    let cache = Keylatch::in_memory();
    let guard = waiting(&cache).acquire().await.unwrap();
    let waiters = join_all((0..10).map(|index| {
        let cache = cache.clone();
        async move {
            // One after the other.
            tokio::time::sleep(Duration::from_millis(index + 1)).await;
            waiting(&cache)
                .run(async |_lease| {
                    assert_eq!(VISITS.fetch_add(1, Ordering::SeqCst), u32::try_from(index).unwrap());
                })
                .await
                .unwrap();
        }
    }));
    let release = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        guard.release().await.unwrap();
        let overtaking = lock(&cache, TTL).wait(Duration::ZERO).acquire().await;
        assert!(matches!(overtaking, Err(LockError::Busy { .. })), "{overtaking:?}");
    };
    tokio::join!(waiters, release);
    assert_eq!(VISITS.load(Ordering::SeqCst), 10);
}
