//! Records in many slots of a cluster.

use keylatch::{CachedBatch, CachedCall, Keylatch};

use super::{Db, product, products};
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
