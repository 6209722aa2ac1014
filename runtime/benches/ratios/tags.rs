//! Invalidation by tag: of ten entries, against a million.

use std::time::Instant;

use keylatch::{CachedCall, Key, Keylatch, cached};
use redis::aio::MultiplexedConnection;

use crate::contest::{is_wanted, median, row, scaled};
use crate::server::Server;

const FEW: usize = 10;
const MANY: usize = 1_000_000;
const ROUNDS: usize = 200;

#[cached(key = "tagged:{tag}:{id}", ttl = "1h", tags = ["{tag}"], local = off, skip(cache), using = cache)]
async fn tagged(cache: &Keylatch, tag: &str, id: usize) -> u64 {
    id as u64
}

pub(crate) async fn run() {
    if !is_wanted("invalidate 1,000,000 entries by tag | 10 entries") {
        return;
    }
    let server = Server::start().await;
    let cache = Keylatch::builder().redis_url(server.url.as_str()).namespace("tags").build();
    let cache = cache.expect("good settings");
    let mut bare = server.connect().await;
    let many = scaled(MANY).max(10_000);
    let groups = [("few", FEW), ("many", many)];
    for (tag, count) in groups {
        fill(&cache, &mut bare, tag, count).await;
        let last = tagged(&cache, tag, count - 1).peek().await.expect("the server answers");
        assert!(last.is_some(), "the entries are valid");
    }
    let mut times = [Vec::new(), Vec::new()];
    for _ in 0..ROUNDS {
        for (times, (tag, count)) in times.iter_mut().zip(groups) {
            times.push(invalidated(&cache, &mut bare, tag, count).await);
        }
    }
    let [few, many_times] = times;
    let ratio = median(many_times.iter().zip(&few).map(|(many, few)| many / few).collect());
    let (few, many_times) = (1e6 * median(few), 1e6 * median(many_times));
    let what = format!("invalidate {many} entries by tag, against {FEW} entries");
    row(&what, 1, &format!("{few:.0} µs"), &format!("{many_times:.0} µs"), &format!("{ratio:.2}"));
}

/// One real entry, and copies of it under the other keys: they name the same stamps.
async fn fill(cache: &Keylatch, bare: &mut MultiplexedConnection, tag: &str, count: usize) {
    tagged(cache, tag, 0).await;
    let entry: Vec<u8> =
        redis::cmd("GET").arg(format!("tags:tagged:{tag}:0")).query_async(bare).await.expect("it is stored");
    let ids: Vec<usize> = (1..count).collect();
    for chunk in ids.chunks(1_000) {
        let mut set = redis::cmd("MSET");
        for id in chunk {
            set.arg(format!("tags:tagged:{tag}:{id}")).arg(&entry);
        }
        set.exec_async(bare).await.expect("the server answers");
    }
}

/// Seconds of one invalidation by tag. Then the stamp is put back, so that the entries are valid again.
async fn invalidated(cache: &Keylatch, bare: &mut MultiplexedConnection, tag: &str, count: usize) -> f64 {
    let stamp = format!("tags#tag:{tag}");
    let value: Vec<u8> = redis::cmd("GET").arg(&stamp).query_async(bare).await.expect("the stamp is there");
    let (cache, of) = (cache.clone(), Key::of(tag));
    let task = tokio::spawn(async move {
        let began = Instant::now();
        cache.invalidate_tag(of).await.expect("the server answers");
        (cache, began.elapsed().as_secs_f64())
    });
    let (cache, took) = task.await.expect("it does not panic");
    let last = tagged(&cache, tag, count - 1).peek().await.expect("the server answers");
    assert!(last.is_none(), "the entries are invalid");
    redis::cmd("SET").arg(&stamp).arg(value).exec_async(bare).await.expect("the server answers");
    took
}
