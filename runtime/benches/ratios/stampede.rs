//! A thousand callers of one cold key whose body takes 50 ms, against the same in one process without a cache: one body, and
//! everybody waits for it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use keylatch::{Keylatch, cached};
use tokio::sync::OnceCell;

use crate::contest::{is_wanted, median, row};
use crate::server::Server;

const CALLERS: usize = 1_000;
const BODY: Duration = Duration::from_millis(50);
const ROUNDS: u64 = 9;

#[cached(key = "cold:{id}", ttl = "1h", skip(cache, runs), using = cache)]
async fn cold(cache: &Keylatch, runs: &AtomicU64, id: u64) -> u64 {
    runs.fetch_add(1, Ordering::Relaxed);
    tokio::time::sleep(BODY).await;
    id
}

pub(crate) async fn run() {
    let name = "1,000 callers of one cold key, a body of 50 ms | `OnceCell` in one process";
    if !is_wanted(name) {
        return;
    }
    let server = Server::start().await;
    let cache = Keylatch::builder().redis_url(server.url.as_str()).namespace("cold").build();
    let cache = cache.expect("good settings");
    let runs = Arc::new(AtomicU64::new(0));
    // Connects, and makes the scripts known.
    cold(&cache, &runs, 0).await;
    let (mut alone, mut ours, mut commands) = (Vec::new(), Vec::new(), 0);
    runs.store(0, Ordering::Relaxed);
    for id in 1..=ROUNDS {
        let cell = Arc::new(OnceCell::new());
        alone.push(
            all(|| {
                let cell = Arc::clone(&cell);
                async move {
                    cell.get_or_init(async || tokio::time::sleep(BODY).await).await;
                }
            })
            .await,
        );
        let before = server.commands().await;
        ours.push(
            all(|| {
                let (cache, runs) = (cache.clone(), Arc::clone(&runs));
                async move {
                    assert_eq!(cold(&cache, &runs, id).await, id);
                }
            })
            .await,
        );
        commands = commands.max(server.commands().await - before);
    }
    let ratio = median(ours.iter().zip(&alone).map(|(ours, alone)| ours / alone).collect());
    let runs = runs.load(Ordering::Relaxed);
    let (alone, ours) = (1e3 * median(alone), 1e3 * median(ours));
    let what = format!(
        "1,000 callers of one cold key, a body of 50 ms: {runs} runs in {ROUNDS} rounds, {commands} commands at most, against \
         `OnceCell` in one process"
    );
    row(&what, CALLERS, &format!("{alone:.1} ms"), &format!("{ours:.1} ms"), &format!("{ratio:.2}"));
}

/// Seconds until everybody is done.
async fn all<F: Future<Output = ()> + Send + 'static>(call: impl Fn() -> F) -> f64 {
    let began = Instant::now();
    let tasks: Vec<_> = (0..CALLERS).map(|_| tokio::spawn(call())).collect();
    for ended in join_all(tasks).await {
        ended.expect("no caller panics");
    }
    began.elapsed().as_secs_f64()
}
