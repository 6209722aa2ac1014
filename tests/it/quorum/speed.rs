//! What a lock over several masters costs: as much as the answer that makes the majority, whatever the others do.
//!
//! The machine may be shared, so each figure may be four times its mark here; with `KEYLATCH_STRICT_FIGURES` set, on a quiet
//! machine, the marks themselves must hold.

use std::time::{Duration, Instant};

use redis::aio::MultiplexedConnection;

use super::lines::Lines;
use super::{Masters, lock, over};
use crate::support::RedisServer;

const TTL: Duration = Duration::from_secs(10);

fn marked(what: &str, took: Duration, mark: Duration) {
    eprintln!("{what}: {took:?} (mark {mark:?})");
    let allowed = if std::env::var_os("KEYLATCH_STRICT_FIGURES").is_some() { mark } else { 4 * mark };
    assert!(took <= allowed, "{what}: {took:?}, at most {allowed:?}");
}

/// How long a bare command takes over one line.
async fn bare(connection: &mut MultiplexedConnection) -> Duration {
    let began = Instant::now();
    let mut set = redis::cmd("SET");
    set.arg("bare").arg("value").arg("PX").arg(10_000).exec_async(connection).await.expect("it answers");
    began.elapsed()
}

/// Whatever the machine makes of it, masters that were asked one after the other would take twice as long and more.
fn as_one_round_trip(took: Duration, one_command: Duration) {
    eprintln!("a lock {took:?}, one command {one_command:?}");
    assert!(took < one_command.mul_f64(1.7), "{took:?}, but one command takes {one_command:?}");
}

fn middle(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

async fn over_a_millisecond(count: usize) {
    let masters = Masters::start(count);
    let half = Duration::from_micros(500);
    let lines = Lines::to(masters.servers.iter().map(RedisServer::port), half);
    let cache = over(lines.ports.iter().map(|port| format!("redis://127.0.0.1:{port}")))
        .build()
        .expect("good settings");
    let url = format!("redis://127.0.0.1:{}", lines.ports[count - 1]);
    let client = redis::Client::open(url).expect("a good URL");
    let connection = client.get_multiplexed_async_connection().await.expect("it answers");
    let median = async |rounds| {
        let (mut took, mut one_command) = (Vec::new(), Vec::new());
        let mut connection = connection.clone();
        for _ in 0..rounds {
            let began = Instant::now();
            let guard = lock(&cache, "fast", TTL).acquire().await.expect("a quorum");
            took.push(began.elapsed());
            guard.release().await.expect("a quorum");
            one_command.push(bare(&mut connection).await);
        }
        (middle(took), middle(one_command))
    };
    median(50).await;
    let (took, one_command) = median(300).await;
    as_one_round_trip(took, one_command);
    marked(&format!("{count} masters 1 ms away, p50"), took, Duration::from_micros(1_250));
    lines.set(0, Duration::from_millis(50));
    let (took, one_command) = median(300).await;
    as_one_round_trip(took, one_command);
    marked(&format!("{count} masters, one 100 ms away, p50"), took, Duration::from_micros(1_400));
    lines.set(0, half);
    tokio::time::sleep(Duration::from_millis(200)).await;
    median(50).await;
    masters.servers[1].signal("STOP");
    // Each is waited for four round trips, at least 5 ms.
    let mark = 2 * Duration::from_millis(5) + Duration::from_millis(1);
    marked(&format!("{count} masters, one stopped, p50"), median(100).await.0, mark);
    masters.servers[1].signal("CONT");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_masters_cost_one_round_trip() {
    over_a_millisecond(3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_masters_cost_one_round_trip() {
    over_a_millisecond(5).await;
}
