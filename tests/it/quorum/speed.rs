//! What a lock over several masters costs: as much as the answer that makes the majority, whatever the others do.
//!
//! The machine may be shared, so each figure may be four times its mark here; with `KEYLATCH_STRICT_FIGURES` set, on a quiet
//! machine, the marks themselves must hold.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use super::{Masters, lock, over};

const TTL: Duration = Duration::from_secs(10);

/// A line of that length to a server. Timers of the runtime are too coarse for it, so it has threads.
struct Line {
    port: u16,
    /// One way, in microseconds.
    delay: Arc<AtomicU64>,
}

impl Line {
    fn to(server: u16, delay: Duration) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("a bound port").port();
        let line = Self { port, delay: Arc::default() };
        line.set(delay);
        let delay = Arc::clone(&line.delay);
        std::thread::spawn(move || {
            for client in listener.incoming() {
                let (Ok(client), Ok(server)) = (client, TcpStream::connect(("127.0.0.1", server))) else {
                    return;
                };
                let _ = (client.set_nodelay(true), server.set_nodelay(true));
                let (Ok(from_client), Ok(from_server)) = (client.try_clone(), server.try_clone()) else {
                    return;
                };
                one_way(from_client, server, Arc::clone(&delay));
                one_way(from_server, client, Arc::clone(&delay));
            }
        });
        line
    }

    fn set(&self, one_way: Duration) {
        self.delay.store(u64::try_from(one_way.as_micros()).unwrap(), Ordering::Relaxed);
    }
}

fn one_way(mut from: TcpStream, mut to: TcpStream, delay: Arc<AtomicU64>) {
    let (queue, queued) = mpsc::channel::<(Instant, Vec<u8>)>();
    std::thread::spawn(move || {
        let mut bytes = vec![0; 16 << 10];
        while let Ok(count @ 1..) = from.read(&mut bytes) {
            let due = Instant::now() + Duration::from_micros(delay.load(Ordering::Relaxed));
            if queue.send((due, bytes[..count].to_vec())).is_err() {
                return;
            }
        }
    });
    std::thread::spawn(move || {
        // The system wakes threads late by some 60 µs.
        const LATE: Duration = Duration::from_micros(80);
        for (due, bytes) in queued {
            std::thread::sleep(due.saturating_duration_since(Instant::now()).saturating_sub(LATE));
            while Instant::now() < due {
                std::hint::spin_loop();
            }
            if to.write_all(&bytes).is_err() {
                return;
            }
        }
    });
}

fn marked(what: &str, took: Duration, mark: Duration) {
    eprintln!("{what}: {took:?} (mark {mark:?})");
    let allowed = if std::env::var_os("KEYLATCH_STRICT_FIGURES").is_some() { mark } else { 4 * mark };
    assert!(took <= allowed, "{what}: {took:?}, at most {allowed:?}");
}

/// The median of a bare command over one line.
async fn bare(port: u16) -> Duration {
    let client = redis::Client::open(format!("redis://127.0.0.1:{port}")).expect("a good URL");
    let mut connection = client.get_multiplexed_async_connection().await.expect("it answers");
    let mut took = Vec::new();
    for _ in 0..300 {
        let began = Instant::now();
        let mut set = redis::cmd("SET");
        set.arg("bare")
            .arg("value")
            .arg("PX")
            .arg(10_000)
            .exec_async(&mut connection)
            .await
            .expect("it answers");
        took.push(began.elapsed());
    }
    middle(took)
}

fn middle(mut took: Vec<Duration>) -> Duration {
    took.sort_unstable();
    took[took.len() / 2]
}

async fn over_a_millisecond(count: usize) {
    let masters = Masters::start(count);
    let half = Duration::from_micros(500);
    let lines: Vec<Line> = masters.servers.iter().map(|server| Line::to(server.port(), half)).collect();
    let cache = over(lines.iter().map(|line| format!("redis://127.0.0.1:{}", line.port)))
        .build()
        .expect("good settings");
    let median = async |rounds| {
        let mut took = Vec::new();
        for _ in 0..rounds {
            let began = Instant::now();
            let guard = lock(&cache, "fast", TTL).acquire().await.expect("a quorum");
            took.push(began.elapsed());
            guard.release().await.expect("a quorum");
        }
        middle(took)
    };
    median(50).await;
    // What the lines cost by themselves, on a machine whose threads all have something to do.
    eprintln!("one command over one line, p50: {:?}", bare(lines[0].port).await);
    marked(&format!("{count} masters 1 ms away, p50"), median(300).await, Duration::from_micros(1_250));
    lines[0].set(Duration::from_millis(50));
    marked(
        &format!("{count} masters, one 100 ms away, p50"),
        median(300).await,
        Duration::from_micros(1_400),
    );
    lines[0].set(half);
    tokio::time::sleep(Duration::from_millis(200)).await;
    median(50).await;
    masters.servers[1].signal("STOP");
    // Each is waited for four round trips, at least 5 ms.
    let mark = 2 * Duration::from_millis(5) + Duration::from_millis(1);
    marked(&format!("{count} masters, one stopped, p50"), median(100).await, mark);
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
