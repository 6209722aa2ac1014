//! Invalidation by pattern of a tenth of all keys, against `SCAN COUNT 1000` and `UNLINK` by the bare client; while another
//! client's `PING`s are timed.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use keylatch::{Keylatch, Pattern};
use redis::aio::MultiplexedConnection;

use crate::contest::{is_wanted, median, row, scaled};
use crate::server::Server;

const KEYS: usize = 1_000_000;
/// One group of these is invalidated at a time.
const GROUPS: usize = 10;
const ROUNDS: usize = 6;
/// Microseconds from which on the server notes a command.
const NOTED: u64 = 200;

/// What one sweep took, and what it did to others.
struct Figures {
    took: Duration,
    /// Sorted.
    pings: Vec<Duration>,
    longest_command: Duration,
}

/// Prints two lines of the table: the times, and what others notice.
pub(crate) async fn run() {
    let name = "invalidate a tenth of 1,000,000 keys by pattern | `SCAN COUNT 1000`, `UNLINK`";
    if !is_wanted(name) {
        return;
    }
    let server = Server::start().await;
    let keys = scaled(KEYS).max(10_000);
    let cache = Keylatch::builder().redis_url(server.url.as_str()).namespace("sweep").build();
    let cache = cache.expect("good settings");
    let mut bare = server.connect().await;
    for group in 0..GROUPS {
        fill(&mut bare, group, keys).await;
    }
    let (mut bare_figures, mut our_figures) = (Vec::new(), Vec::new());
    for round in 0..2 * (ROUNDS + 1) {
        let group = round % GROUPS;
        let by_hand = (round + round / 2) % 2 == 0;
        let figures = if by_hand {
            let mut connection = bare.clone();
            measured(&server, async move { scan_and_unlink(&mut connection, group).await }).await
        } else {
            let cache = cache.clone();
            let pattern = Pattern::of("entry").part(&group).any();
            let swept = async move { cache.invalidate_matching(&pattern).await.expect("the server answers") };
            measured(&server, swept).await
        };
        // Others of the ten are still there, so what was taken can be counted.
        let left: usize = redis::cmd("DBSIZE").query_async(&mut bare).await.expect("the server answers");
        assert!(left < keys && left >= keys - keys / GROUPS, "{left} of {keys} are left");
        fill(&mut bare, group, keys).await;
        // The first of each warms up.
        if round >= 2 {
            let all = if by_hand { &mut bare_figures } else { &mut our_figures };
            all.push(figures);
        }
    }
    let seconds = |all: &[Figures]| all.iter().map(|one| one.took.as_secs_f64()).collect::<Vec<_>>();
    let (b, o) = (seconds(&bare_figures), seconds(&our_figures));
    let ratio = median(o.iter().zip(&b).map(|(o, b)| o / b).collect());
    let (b, o) = (1e3 * median(b), 1e3 * median(o));
    let what = format!("invalidate a tenth of {keys} keys by pattern, against `SCAN COUNT 1000`, `UNLINK`");
    row(&what, 1, &format!("{b:.0} ms"), &format!("{o:.0} ms"), &format!("{ratio:.2}"));
    for (what, of) in [
        ("`PING` of others meanwhile, p99", (|one| at(&one.pings, 0.99)) as fn(&Figures) -> Duration),
        ("longest command of it", |one| one.longest_command),
    ] {
        let worst = |all: &[Figures]| all.iter().map(of).max().expect("rounds").as_secs_f64() * 1e3;
        let (b, o) = (worst(&bare_figures), worst(&our_figures));
        let what = format!("{what}, the worst round");
        row(&what, 1, &format!("{b:.2} ms"), &format!("{o:.2} ms"), &format!("{:.2}", o / b));
    }
}

fn at(sorted: &[Duration], part: f64) -> Duration {
    let last = sorted.len() - 1;
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an index"
    )]
    let index = (last as f64 * part) as usize;
    sorted[index]
}

/// All keys of one group, 100 bytes each.
async fn fill(bare: &mut MultiplexedConnection, group: usize, keys: usize) {
    let value = format!("V{}", "v".repeat(99));
    let ids: Vec<usize> = (0..keys / GROUPS).collect();
    for chunk in ids.chunks(1_000) {
        let mut set = redis::cmd("MSET");
        for id in chunk {
            set.arg(format!("sweep:entry:{group}:{id}")).arg(&value);
        }
        set.exec_async(bare).await.expect("the server answers");
    }
}

async fn scan_and_unlink(bare: &mut MultiplexedConnection, group: usize) {
    let mut cursor = 0_u64;
    loop {
        let mut scan = redis::cmd("SCAN");
        scan.arg(cursor).arg("MATCH").arg(format!("sweep:entry:{group}:*")).arg("COUNT").arg(1_000);
        let (next, keys): (u64, Vec<Vec<u8>>) = scan.query_async(bare).await.expect("the server answers");
        if !keys.is_empty() {
            redis::cmd("UNLINK").arg(keys).exec_async(bare).await.expect("the server answers");
        }
        if next == 0 {
            return;
        }
        cursor = next;
    }
}

/// Runs one sweep in a task of its own, as services do, with a client beside it that sends one `PING` after the other.
async fn measured(server: &Server, sweep: impl Future<Output = ()> + Send + 'static) -> Figures {
    let mut other = server.connect().await;
    redis::cmd("SLOWLOG").arg("RESET").exec_async(&mut other).await.expect("the server answers");
    let mut threshold = redis::cmd("CONFIG");
    threshold.arg("SET").arg("slowlog-log-slower-than").arg(NOTED).arg("slowlog-max-len").arg(100_000);
    threshold.exec_async(&mut other).await.expect("the server answers");
    let done = Arc::new(AtomicBool::new(false));
    let pinging = tokio::spawn({
        let (mut other, done) = (other.clone(), Arc::clone(&done));
        async move {
            let mut pings = Vec::new();
            while !done.load(Ordering::Relaxed) {
                let began = Instant::now();
                redis::cmd("PING").exec_async(&mut other).await.expect("the server answers");
                pings.push(began.elapsed());
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
            pings
        }
    });
    let began = Instant::now();
    tokio::spawn(sweep).await.expect("it does not panic");
    let took = began.elapsed();
    done.store(true, Ordering::Relaxed);
    let mut pings = pinging.await.expect("it does not panic");
    pings.sort_unstable();
    Figures { took, pings, longest_command: longest(&mut other).await }
}

/// The longest command that the server has noted.
async fn longest(other: &mut MultiplexedConnection) -> Duration {
    let noted: Vec<Vec<redis::Value>> =
        redis::cmd("SLOWLOG").arg("GET").arg(-1).query_async(other).await.expect("the server answers");
    let micros = noted.iter().map(|entry| match entry[2] {
        redis::Value::Int(micros) => micros.unsigned_abs(),
        _ => panic!("not a slow log"),
    });
    Duration::from_micros(micros.max().unwrap_or(NOTED))
}
