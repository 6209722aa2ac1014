//! Records in many slots of a cluster.

use keylatch::{CachedBatch, CachedCall, Keylatch};

use super::{Db, product, products};
use crate::support::RedisServer;
use crate::support::cluster::Cluster;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_of_many_slots() {
    let cluster = Cluster::start(3, false).await;
    let keylatch =
        || Keylatch::builder().cluster(cluster.addresses()).namespace("test").build().expect("good settings");
    let (here, there) = (Db::new(keylatch()), Db::new(keylatch()));
    let ids: Vec<u64> = (0..300).collect();
    assert_eq!(products(&here, ids.clone()).await.unwrap().len(), 300);
    for node in cluster.masters() {
        assert!(node.key_count() > 50, "the records are on every node");
    }
    assert_eq!(products(&there, ids.clone()).await.unwrap().len(), 300);
    assert!(there.runs().is_empty());
    product(&there, 7).invalidate().await.unwrap();
    products(&there, (100..200).collect()).invalidate().await.unwrap();
    assert_eq!(products(&here, ids.clone()).peek().await.unwrap().len(), 199);
    assert_eq!(products(&here, ids).await.unwrap().len(), 300);
    let again: Vec<u64> = std::iter::once(7).chain(100..200).collect();
    assert_eq!(here.runs()[1], again);
}

/// Records of a hundred slots on each node: one by one they would be hundreds of reads of its sockets.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_node_is_asked_in_a_few_packets() {
    let cluster = Cluster::start(3, false).await;
    let keylatch =
        || Keylatch::builder().cluster(cluster.addresses()).namespace("test").build().expect("good settings");
    let db = Db::new(keylatch());
    // Connects to every node, and makes the scripts known.
    products(&db, (900..960).collect()).await.unwrap();
    let reads = || -> Vec<u64> {
        let count = |node: &RedisServer| node.info("total_reads_processed")?.parse().ok();
        cluster.masters().iter().map(|node| count(node).expect("the node tells")).collect()
    };
    let ids: Vec<u64> = (0..300).collect();
    for (what, most) in [("loads", 60), ("hits", 40)] {
        let before = reads();
        assert_eq!(products(&db, ids.clone()).await.unwrap().len(), 300);
        let asked: Vec<_> = reads().iter().zip(&before).map(|(after, before)| after - before).collect();
        eprintln!("{what}: {asked:?} reads");
        assert!(asked.iter().all(|asked| *asked < most), "{what}: {asked:?} reads");
    }
    assert_eq!(db.runs().len(), 2, "the second time all were there");
}
