//! Commands whose keys are on several nodes, and those that concern them all.

use keylatch::{Connection, Keylatch};
use redis::{AsyncCommands, RedisResult, Value};

use super::built;
use crate::support::RedisServer;
use crate::support::cluster::Cluster;

fn on(cluster: &Cluster) -> Connection {
    built(Keylatch::builder().cluster(cluster.addresses()).namespace("test"))
}

fn keys(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("key:{n}")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_on_several_nodes() {
    let cluster = Cluster::start(3, false).await;
    let mut redis = on(&cluster);
    let keys = keys(60);
    let pairs: Vec<(&String, usize)> = keys.iter().zip(0..).collect();
    redis.mset::<_, _, ()>(&pairs).await.unwrap();
    for master in cluster.masters() {
        assert!((1..60).contains(&master.key_count()), "they are spread");
    }
    // In the order that was asked for, missing ones included.
    let asked: Vec<&str> = keys.iter().rev().map(String::as_str).chain(["missing"]).collect();
    let found: Vec<Option<usize>> = redis.mget(&asked).await.unwrap();
    assert_eq!(found, (0..60).rev().map(Some).chain([None]).collect::<Vec<_>>());

    assert_eq!(redis.exists::<_, usize>(&asked).await.unwrap(), 60);
    assert_eq!(redis::cmd("DBSIZE").query_async::<usize>(&mut redis).await.unwrap(), 60);
    let mut all: Vec<String> = redis.keys("key:*").await.unwrap();
    all.sort_unstable();
    let mut expected = keys.clone();
    expected.sort_unstable();
    assert_eq!(all, expected);

    assert_eq!(redis.del::<_, usize>(&asked[..20]).await.unwrap(), 20);
    assert_eq!(redis.unlink::<_, usize>(&asked[10..40]).await.unwrap(), 20);
    assert_eq!(cluster.masters().iter().map(RedisServer::key_count).sum::<usize>(), 20);
    redis::cmd("FLUSHALL").exec_async(&mut redis).await.unwrap();
    assert!(cluster.masters().iter().all(|master| master.key_count() == 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pipelines_over_several_nodes() {
    let cluster = Cluster::start(3, false).await;
    let mut redis = on(&cluster);
    let mut pipeline = redis::pipe();
    for (key, n) in keys(60).iter().zip(0..) {
        pipeline.set(key, n).ignore().incr(key, 1);
    }
    let answers: Vec<usize> = pipeline.query_async(&mut redis).await.unwrap();
    assert_eq!(answers, (1..=60).collect::<Vec<_>>());
    // Among them what has keys on several nodes, in its turn.
    let keys = keys(60);
    let mixed = redis::pipe().set(&keys[0], 5).ignore().mget(&keys).del(&keys).mget(&keys).clone();
    let (before, gone, after): (Vec<usize>, usize, Vec<Option<usize>>) =
        mixed.query_async(&mut redis).await.unwrap();
    assert_eq!(before, std::iter::once(5).chain(2..=60).collect::<Vec<_>>());
    assert_eq!((gone, after), (60, vec![None; 60]));
}

/// Also by a connection that does not know yet who owns what.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_keeps_its_order() {
    let cluster = Cluster::start(3, false).await;
    for round in 0..20 {
        let mut redis = on(&cluster);
        let (first, second) = (format!("list:{round}"), format!("other:{round}"));
        let mut pipeline = redis::pipe();
        for n in 0..2_000 {
            pipeline.rpush(&first, n).ignore().rpush(&second, n).ignore();
        }
        pipeline.lrange(&first, 0, -1).lrange(&second, 0, -1);
        let lists: (Vec<usize>, Vec<usize>) = pipeline.query_async(&mut redis).await.unwrap();
        let expected: Vec<usize> = (0..2_000).collect();
        assert!(lists.0 == expected && lists.1 == expected, "round {round}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scripts_and_transactions() {
    let cluster = Cluster::start(3, false).await;
    let mut redis = on(&cluster);
    let script = redis::Script::new("return redis.call('INCRBY', KEYS[1], ARGV[1])");
    for key in keys(30) {
        let answer: u64 = script.key(&key).arg(5).invoke_async(&mut redis).await.unwrap();
        assert_eq!(answer, 5, "{key}");
    }

    for n in 0..30 {
        let (one, other) = (format!("{{{n}}}:one"), format!("{{{n}}}:other"));
        let pipeline = redis::pipe().atomic().set(&one, n).ignore().incr(&other, 2).get(&one).clone();
        let answers: (u64, u64) = pipeline.query_async(&mut redis).await.unwrap();
        assert_eq!(answers, (2, n));
    }

    let apart = redis::pipe().atomic().set("{a}", 1).set("{b}", 1).clone();
    let refused: RedisResult<Value> = apart.query_async(&mut redis).await;
    let refused = refused.unwrap_err().to_string();
    assert!(refused.contains("must be in one slot"), "{refused}");
    let apart = redis::pipe().atomic().mset(&[("{a}", 1), ("{b}", 1)]).clone();
    let refused: RedisResult<Value> = apart.query_async(&mut redis).await;
    assert!(refused.is_err());
    assert_eq!(redis.exists::<_, usize>(&["{a}", "{b}"]).await.unwrap(), 0, "none of it ran");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_owner_of_a_key() {
    let cluster = Cluster::start(3, false).await;
    let mut redis = on(&cluster);
    for key in keys(10) {
        let client = redis.client(Some(key.as_bytes())).await.unwrap();
        let mut plain = client.get_multiplexed_async_connection().await.unwrap();
        // Any other node would send it elsewhere.
        plain.set::<_, _, ()>(&key, 1).await.unwrap();
        redis.rpush::<_, _, ()>(format!("list:{key}"), 1).await.unwrap();
        let popped: Option<(String, u64)> = redis.blpop(format!("list:{key}"), 1.0).await.unwrap();
        assert_eq!(popped, Some((format!("list:{key}"), 1)));
    }
}

/// One that was done before its neighbour was sent elsewhere is not done again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pipeline_while_its_slot_moves() {
    let cluster = Cluster::start(3, false).await;
    let mut redis = on(&cluster);
    let (stays, goes) = ("{moving}:stays", "{moving}:goes");
    redis.mset::<_, _, ()>(&[(stays, 0), (goes, 0)]).await.unwrap();
    let slot = cluster.slot_of(stays);
    let from = cluster.owner(slot).unwrap();
    let to = (from + 1) % 3;
    let twice = redis::pipe().incr(stays, 1).incr(goes, 1).incr(stays, 1).incr(goes, 1).clone();

    cluster.begin_migration(slot, from, to);
    cluster.migrate_key(goes, from, to);
    let answers: [u64; 4] = twice.query_async(&mut redis).await.unwrap();
    assert_eq!(answers, [1, 1, 2, 2]);

    cluster.end_migration(slot, from, to);
    let answers: [u64; 4] = twice.query_async(&mut redis).await.unwrap();
    assert_eq!(answers, [3, 3, 4, 4]);
}

/// Each call could reach another node, with the cursor of the one before.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn scans_of_all_nodes_are_refused() {
    let cluster = Cluster::start(3, false).await;
    let redis = on(&cluster);
    let scanned: RedisResult<Value> = redis::cmd("SCAN").arg(0).query_async(&mut redis.clone()).await;
    let refused = scanned.expect_err("a cursor of no node in particular").to_string();
    assert!(refused.contains("client(key)"), "{refused}");
    let one = redis.client(Some(b"key")).await.unwrap();
    let mut one = one.get_multiplexed_async_connection().await.unwrap();
    redis::cmd("SCAN").arg(0).query_async::<Value>(&mut one).await.unwrap();
}

/// A script is made known on every node that is there, whichever of them its keys are on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_script_is_loaded_without_a_node_that_is_down() {
    let mut cluster = Cluster::start(3, false).await;
    let mut redis = on(&cluster);
    let owner = cluster.owner(cluster.slot_of("key")).unwrap();
    redis.set::<_, _, ()>("key", 1).await.unwrap();
    cluster.nodes[(owner + 1) % 3].kill();
    let script = redis::Script::new("return redis.call('INCR', KEYS[1])");
    assert_eq!(script.key("key").invoke_async::<u64>(&mut redis).await.unwrap(), 2);
}
