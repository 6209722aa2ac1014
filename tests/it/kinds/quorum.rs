//! Locks of other kinds over several masters: R16, semaphores with two permits on three masters.

use std::sync::Arc;
use std::time::{Duration, Instant};

use keylatch::{ErrorKind, Keylatch, LockBuilder, LockError, LockGuard};

use super::LONG;
use crate::support::proxy::Mode;
use crate::support::room::Room;
use crate::support::{Proxy, RedisServer, keylatch, until};

const TTL: Duration = Duration::from_secs(5);

fn masters() -> Vec<RedisServer> {
    (0..3).map(|_| RedisServer::start()).collect()
}

/// A client of its own, which reaches the masters through proxies of its own.
struct Client {
    cache: Keylatch,
    proxies: Vec<Proxy>,
}

impl Client {
    async fn of(masters: &[RedisServer]) -> Self {
        let mut proxies = Vec::new();
        for master in masters {
            proxies.push(Proxy::to(master.port()).await);
        }
        let builder = Keylatch::builder().lock_urls(proxies.iter().map(Proxy::url)).namespace("test");
        Self { cache: builder.build().expect("good settings"), proxies }
    }

    fn permit(&self) -> LockBuilder {
        self.cache.semaphore("seats", 2).ttl(TTL).wait(Duration::ZERO)
    }
}

/// Each of three clients reaches another two of the three masters.
async fn each_cut_off_from_another(masters: &[RedisServer]) -> Vec<Client> {
    let mut clients = Vec::new();
    for cut in 0..3 {
        let client = Client::of(masters).await;
        // All of them know all masters, and then each loses one.
        client.permit().acquire().await.unwrap().release().await.unwrap();
        client.proxies[cut].set(Mode::Refuse);
        clients.push(client);
    }
    until("permits are given back", || masters.iter().all(|master| permits_on(master) == 0)).await;
    clients
}

fn permits_on(master: &RedisServer) -> usize {
    let keys = master.query(&["KEYS", "*#permit:*"]).expect("the master answers");
    let keys: Vec<String> = redis::from_redis_value(keys).expect("keys");
    keys.iter().filter(|key| !key.ends_with("#fence")).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_permits_are_two_whatever_masters_each_has() {
    let masters = masters();
    for _ in 0..5 {
        let clients = each_cut_off_from_another(&masters).await;
        let mut held: Vec<LockGuard> = Vec::new();
        let mut refused = 0;
        for client in &clients {
            match client.permit().acquire().await {
                Ok(guard) => held.push(guard),
                Err(LockError::Busy { .. } | LockError::NoQuorum { .. }) => refused += 1,
                Err(other) => panic!("{other}"),
            }
        }
        // Who comes last may find that no two of his masters have the same permit free; never do three have one.
        assert!(held.len() <= 2, "{} hold two permits", held.len());
        assert!(refused >= 1 && !held.is_empty());
        for guard in held {
            guard.release().await.unwrap();
        }
    }
}

/// The mutant: each master counts for itself, and two of three are a majority. Then three have two permits.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn counted_by_each_master_three_have_two_permits() {
    let masters = masters();
    let nodes: Vec<Keylatch> = masters.iter().map(keylatch).collect();
    let mut holders = 0;
    let mut held = Vec::new();
    for cut in 0..3 {
        let mut votes = Vec::new();
        for (index, node) in nodes.iter().enumerate().filter(|(index, _)| *index != cut) {
            let vote = node.semaphore("seats", 2).ttl(TTL).wait(Duration::ZERO).acquire().await;
            votes.extend(vote.ok().map(|guard| (index, guard)));
        }
        holders += usize::from(votes.len() >= 2);
        held.extend(votes);
    }
    assert_eq!(holders, 3, "the test would not have noticed");
    drop(held);
}

/// Many clients, each of which hears of the masters in another order.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_more_holders_than_permits_in_any_order() {
    let masters = masters();
    // New masters vote once somebody has seen all of them.
    Client::of(&masters).await.permit().acquire().await.unwrap().release().await.unwrap();
    let room = Arc::new(Room::default());
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..6_usize {
        let client = Client::of(&masters).await;
        for (place, proxy) in client.proxies.iter().enumerate() {
            let rank = (place + index) % 3;
            proxy.set(Mode::Delay(Duration::from_micros(500 * u64::try_from(rank).unwrap())));
        }
        let room = Arc::clone(&room);
        tasks.spawn(async move {
            for _ in 0..10 {
                let stay = || tokio::time::sleep(Duration::from_millis(3));
                let visit = async |_lease| room.visit(stay()).await;
                // A busy machine may answer too late for a quorum: then there is no permit, and it is asked again.
                while let Err(error) = client.permit().wait(LONG).run(visit).await {
                    assert!(matches!(error, LockError::NoQuorum { .. }), "{error}");
                }
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    assert_eq!((room.entered(), room.most()), (60, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_and_passed_down_and_extended() {
    let masters = masters();
    let client = Client::of(&masters).await;
    let other = Client::of(&masters).await;
    let ttl = Duration::from_millis(600);
    let all = client.cache.lock_all(["a", "b", "c"]).ttl(ttl).acquire().await.unwrap();
    let permit = client.cache.semaphore("seats", 1).ttl(ttl).acquire().await.unwrap();
    let began = Instant::now();
    while began.elapsed() < ttl * 2 {
        tokio::time::sleep(ttl / 5).await;
        all.lease().check().unwrap();
        permit.lease().check().unwrap();
    }
    for taken in ["a", "b", "c"] {
        assert!(other.cache.lock(taken).wait(Duration::ZERO).acquire().await.is_err());
        client.cache.lock(taken).within(&all).run(async |_lease| ()).await.unwrap();
    }
    assert!(other.cache.semaphore("seats", 1).wait(Duration::ZERO).acquire().await.is_err());
    client.cache.semaphore("seats", 1).within(&permit).run(async |_lease| ()).await.unwrap();
    all.release().await.unwrap();
    permit.release().await.unwrap();
    other.cache.lock_all(["c", "a"]).wait(Duration::ZERO).acquire().await.unwrap().release().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_permit_with_a_token_is_refused_and_several_keys_have_one_each() {
    let masters = masters();
    let client = Client::of(&masters).await;
    let refused = client.permit().fence().acquire().await.unwrap_err();
    let LockError::Unknown { source, .. } = &refused else { panic!("{refused}") };
    assert_eq!(source.kind(), ErrorKind::Configuration, "{refused}");
    assert!(refused.to_string().contains("`fence`"), "{refused}");
    client.permit().acquire().await.unwrap().release().await.unwrap();

    let mut before = [0; 2];
    for _ in 0..3 {
        let all = client.cache.lock_all(["a", "b"]).ttl(TTL).fence().acquire().await.unwrap();
        assert_eq!(all.lease().token(), None);
        let tokens: Vec<u64> =
            all.lease().parts().map(|part| part.token().expect("a token of its own").get()).collect();
        assert!(tokens.len() == 2 && tokens[0] > before[0] && tokens[1] > before[1], "{tokens:?}");
        before = [tokens[0], tokens[1]];
        all.release().await.unwrap();
    }
}

/// Any two majorities meet: who reads and who writes exclude each other also where they have different masters, and six who
/// come again and again all have their turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn six_clients_read_together_and_write_alone() {
    const ROUNDS: usize = 12;
    let masters = masters();
    let warm = Client::of(&masters).await;
    warm.cache.lock("warm").acquire().await.unwrap().release().await.unwrap();
    let (readers, writers) = (Arc::new(Room::default()), Arc::new(Room::default()));
    let began = Instant::now();
    let mut tasks = tokio::task::JoinSet::new();
    for index in 0..6_usize {
        let client = Client::of(&masters).await;
        let (readers, writers) = (Arc::clone(&readers), Arc::clone(&writers));
        tasks.spawn(async move {
            // With its proxies, which the task would otherwise leave behind, and nobody would answer.
            let Client { cache, proxies: _proxies } = client;
            let stay = || tokio::time::sleep(Duration::from_millis(3));
            let write = async |_lease| {
                assert_eq!(readers.inside(), 0, "a reader beside a writer");
                writers.visit(stay()).await;
                assert_eq!(readers.inside(), 0, "a reader beside a writer");
            };
            let read = async |_lease| {
                readers.visit(stay()).await;
                assert_eq!(writers.inside(), 0, "a writer beside a reader");
            };
            let mut longest = Duration::ZERO;
            for round in 0..ROUNDS {
                let asked = Instant::now();
                let is_alone = (index + round) % 6 == 0;
                loop {
                    let done = if is_alone {
                        cache.lock("report").ttl(TTL).wait(LONG).run(write).await
                    } else {
                        cache.lock_shared("report").ttl(TTL).wait(LONG).run(read).await
                    };
                    let Err(error) = done else { break };
                    // A busy machine may answer too late for a quorum: then it is asked again.
                    assert!(matches!(error, LockError::NoQuorum { .. }), "{error}");
                }
                longest = longest.max(asked.elapsed());
            }
            longest
        });
    }
    let mut longest = Duration::ZERO;
    while let Some(ended) = tasks.join_next().await {
        longest = longest.max(ended.unwrap());
    }
    eprintln!("all had their turns after {:?}; the longest took {longest:?}", began.elapsed());
    assert_eq!((writers.most(), writers.entered(), readers.entered()), (1, 12, 60));
    assert!(readers.most() > 1, "readers were never together");
    assert!(longest < Duration::from_secs(10), "somebody nearly starved: {longest:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_writer_gets_in_among_readers_and_tokens_grow() {
    let masters = masters();
    let (one, other) = (Client::of(&masters).await, Client::of(&masters).await);
    let writer = || one.cache.lock("report").ttl(TTL).fence().wait(LONG).acquire();
    let first = writer().await.unwrap();
    let minted = first.lease().token().unwrap();
    assert!(other.cache.lock_shared("report").wait(Duration::ZERO).acquire().await.is_err());
    first.release().await.unwrap();
    let reader = other.cache.lock_shared("report").ttl(TTL).fence().acquire().await.unwrap();
    let carried = reader.lease().token().unwrap();
    assert!(carried >= minted, "{carried} after {minted}");
    assert!(one.cache.lock("report").wait(Duration::ZERO).acquire().await.is_err());
    // There is always somebody who reads, or would.
    let reading = async {
        let mut held = reader;
        loop {
            tokio::time::sleep(Duration::from_millis(20)).await;
            let next =
                other.cache.lock_shared("report").ttl(TTL).wait(Duration::from_millis(50)).acquire().await;
            held.release().await.unwrap();
            match next {
                Ok(guard) => held = guard,
                Err(error) => return assert!(matches!(error, LockError::Timeout { .. }), "{error}"),
            }
        }
    };
    let (second, ()) = tokio::join!(writer(), reading);
    let second = second.unwrap();
    assert!(second.lease().token().unwrap() > carried);
    second.release().await.unwrap();
    until("nobody has it any more", || {
        masters.iter().all(|master| master.command("EXISTS test#lock:report").as_deref() == Some(":0"))
    })
    .await;
}
