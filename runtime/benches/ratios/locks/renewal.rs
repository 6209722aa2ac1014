//! What it costs to keep many locks.

use std::time::{Duration, Instant};

use futures_util::stream::{self, StreamExt};
use keylatch::{Key, Keylatch};

use crate::contest::{is_wanted, round_time, row};
use crate::server::Server;

/// Extended every two seconds: a third of this.
const TTL: Duration = Duration::from_secs(6);

pub(super) async fn run(server: &Server) {
    let name = "locks held: processor time for keeping them";
    if !is_wanted(name) {
        return;
    }
    let is_short = round_time() < Duration::from_millis(100);
    let (count, length) = if is_short { (500, TTL / 3) } else { (10_000, TTL * 2) };
    let cache =
        Keylatch::builder().redis_url(server.url.as_str()).namespace("bench").build().expect("good settings");
    let take = |index: u32| cache.lock(Key::of("kept").part(&index)).ttl(TTL).acquire();
    let guards: Vec<_> = stream::iter(0..count).map(take).buffer_unordered(256).collect().await;
    server.reset_statistics().await;
    let (began, processor) = (Instant::now(), processor_time());
    tokio::time::sleep(length).await;
    let used = processor_time().saturating_sub(processor).as_secs_f64() / began.elapsed().as_secs_f64();
    let (extensions, reads) = (server.calls_of("evalsha").await, server.reads().await);
    let lost = guards.iter().flatten().filter(|guard| guard.lease().check().is_err()).count();
    let what = format!(
        "{count} {name} every {:?}; {extensions} extensions in {reads} packets, {lost} lost",
        TTL / 3
    );
    row(&what, 1, "", &format!("{:.1} % of a core", used * 100.0), "");
}

/// Of this process, in user and kernel mode.
fn processor_time() -> Duration {
    let text = std::fs::read_to_string("/proc/self/stat").expect("Linux");
    let (_, fields) = text.rsplit_once(')').expect("a name in brackets");
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|ticks| ticks.parse::<u64>().expect("ticks")).sum();
    Duration::from_millis(ticks * 10)
}
