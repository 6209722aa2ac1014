//! Hits on Redis of larger values, and hits in memory by one thread and by two.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use futures_util::FutureExt;
use keylatch::{Keylatch, cached};
use redis::aio::MultiplexedConnection;
use serde::{Deserialize, Serialize};

use crate::contest::{Contest, Unit, is_wanted, median, round_time, row};
use crate::server::Server;

const PAGES: usize = 64;
const TASKS: usize = 64;
const ROUNDS: usize = 9;

/// Some text.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Page {
    id: usize,
    title: String,
    paragraphs: Vec<String>,
}

impl Page {
    fn new(id: usize, bytes: usize) -> Self {
        let paragraphs = (0..bytes / 500).map(|_| "p".repeat(497)).collect();
        Self { id, title: format!("page {id}"), paragraphs }
    }
}

#[cached(key = "page:{bytes}:{id}", ttl = "10m", tags = ["pages"], local = off, skip(cache), using = cache)]
async fn page(cache: &Keylatch, bytes: usize, id: usize) -> Page {
    Page::new(id, bytes)
}

/// Of the process's own `Keylatch`, as most are.
#[cached(key = "near-page:{id}", ttl = "10m", tags = ["pages"])]
async fn near(id: usize) -> Arc<Page> {
    Arc::new(Page::new(id, 1_000))
}

pub(crate) async fn run() {
    let server = Server::start().await;
    let cache = Keylatch::builder().redis_url(server.url.as_str()).namespace("sizes").build();
    let cache = cache.expect("good settings");
    let bare = server.connect().await;
    let contest = Contest { tasks: TASKS, unit: Unit::Throughput };
    for (bytes, name) in
        [(10_000, "hit on Redis, 10 KB | `GET` + decode"), (100_000, "hit on Redis, 100 KB | `GET` + decode")]
    {
        for id in 0..PAGES {
            page(&cache, bytes, id).await;
            let encoded = rmp_serde::to_vec_named(&Page::new(id, bytes)).expect("a page can be encoded");
            let mut set = redis::cmd("SET");
            set.arg(format!("bare:{bytes}:{id}")).arg(encoded);
            set.exec_async(&mut bare.clone()).await.expect("the server answers");
        }
        contest
            .run(name, |index| get(bare.clone(), bytes, index), |index| hit(cache.clone(), bytes, index))
            .await;
    }
    let cache = Keylatch::builder().redis_url(server.url.as_str()).namespace("near").build();
    cache.expect("good settings").install().expect("there is none yet");
    for id in 0..PAGES {
        // The first call stores, the second finds, and later ones have it in memory.
        for _ in 0..10 {
            near(id).await;
        }
    }
    two_threads();
}

async fn get(mut bare: MultiplexedConnection, bytes: usize, index: usize) {
    let mut get = redis::cmd("GET");
    get.arg(format!("bare:{bytes}:{}", index % PAGES));
    let encoded: Vec<u8> = get.query_async(&mut bare).await.expect("the server answers");
    std::hint::black_box(rmp_serde::from_slice::<Page>(&encoded).expect("a page"));
}

async fn hit(cache: Keylatch, bytes: usize, index: usize) {
    std::hint::black_box(page(&cache, bytes, index % PAGES).await);
}

/// What two threads get done, against one.
fn two_threads() {
    if !is_wanted("hit in memory, two threads | one thread") {
        return;
    }
    let (mut one, mut two, mut ratios) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        let (o, t) = (hits_by(1), hits_by(2));
        ratios.push(t / o);
        one.push(o);
        two.push(t);
    }
    let (one, two) = (1e-6 * median(one), 1e-6 * median(two));
    row(
        "hit in memory, `Arc<T>`, two threads, against one",
        2,
        &format!("{one:.2} M/s"),
        &format!("{two:.2} M/s"),
        &format!("{:.2}", median(ratios)),
    );
}

/// Hits a second of so many threads together.
fn hits_by(threads: usize) -> f64 {
    let (stop, hits) = (AtomicBool::new(false), AtomicU64::new(0));
    let runtime = tokio::runtime::Handle::current();
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (stop, hits, runtime) = (&stop, &hits, &runtime);
            scope.spawn(move || {
                // A call that is not answered from memory waits for the server.
                let _entered = runtime.enter();
                let mut own = 0;
                while !stop.load(Ordering::Relaxed) {
                    for id in 0..PAGES {
                        // One that is not in memory just now would have to wait, and does not count.
                        let found = near((id + thread * PAGES / 2) % PAGES).now_or_never();
                        own += u64::from(std::hint::black_box(found).is_some());
                    }
                }
                hits.fetch_add(own, Ordering::Relaxed);
            });
        }
        std::thread::sleep(round_time());
        stop.store(true, Ordering::Relaxed);
    });
    #[expect(clippy::cast_precision_loss, reason = "no more than a figure")]
    let all = hits.load(Ordering::Relaxed) as f64;
    all / round_time().as_secs_f64()
}
