//! Many who want one lock, in this process and in others: this binary, run again.

use std::future::Future;
use std::io::Write;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use futures_util::future::join_all;
use keylatch::Keylatch;
use redis::aio::MultiplexedConnection;

use super::super::contest::median;

const CHILD: &str = "KEYLATCH_BENCH_CHILD";
const LIST: &str = "bench-token-list";

/// Who keeps the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    Keylatch,
    /// A list with one element: `BLPOP` takes the lock, `RPUSH` gives it back. A connection for each who waits.
    TokenList,
}

/// What is done under the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Work {
    Millisecond,
    /// Blocking: timers of the runtime are no finer than a millisecond.
    Short,
}

impl Work {
    async fn done(self) {
        match self {
            Self::Millisecond => tokio::time::sleep(Duration::from_millis(1)).await,
            Self::Short => std::thread::sleep(Duration::from_micros(200)),
        }
    }
}

/// How long everybody waited each time, and for how long all this was done.
#[derive(Debug, Default)]
pub(super) struct Waits {
    micros: Vec<f64>,
    seconds: f64,
}

impl Waits {
    pub(super) fn grants(&self) -> f64 {
        f64::from(u32::try_from(self.micros.len()).expect("few grants"))
    }

    pub(super) fn a_second(&self) -> f64 {
        self.grants() / self.seconds
    }

    /// The longest wait over the median.
    pub(super) fn unevenness(&self) -> f64 {
        let longest = self.micros.iter().copied().fold(0.0, f64::max);
        longest / median(self.micros.clone()).max(1.0)
    }
}

/// So many tasks in so many processes, all together 32.
pub(super) async fn crowd(url: &str, queue: Queue, work: Work, processes: usize, length: Duration) -> Waits {
    prepare(url, queue).await;
    if processes == 1 {
        let micros = tasks(url, queue, work, 32, length).await;
        return Waits { micros, seconds: length.as_secs_f64() };
    }
    // They begin together, when all of them have certainly started.
    let start = now() + Duration::from_millis(600);
    let argument =
        format!("{url} {queue:?} {work:?} {} {} {}", 32 / processes, length.as_secs_f64(), start.as_nanos());
    let children: Vec<_> = (0..processes)
        .map(|_| {
            Command::new(std::env::current_exe().expect("this binary"))
                .env(CHILD, &argument)
                .stdout(Stdio::piped())
                .spawn()
                .expect("this binary runs")
        })
        .collect();
    let outputs = tokio::task::spawn_blocking(|| {
        children
            .into_iter()
            .map(|child| child.wait_with_output().expect("it ends").stdout)
            .collect::<Vec<_>>()
    });
    let outputs = outputs.await.expect("waiting does not panic");
    let numbers = outputs.iter().flat_map(|output| std::str::from_utf8(output).expect("numbers").lines());
    let micros = numbers.map(|number| number.parse().expect("a number")).collect();
    Waits { micros, seconds: length.as_secs_f64() }
}

async fn prepare(url: &str, queue: Queue) {
    if queue == Queue::TokenList {
        let mut connection = connect(url).await;
        redis::pipe()
            .cmd("DEL")
            .arg(LIST)
            .cmd("RPUSH")
            .arg(LIST)
            .arg("token")
            .exec_async(&mut connection)
            .await
            .expect("the server answers");
    }
}

/// If this process is one of the others: does its part, and prints how long each of its tasks waited each time.
pub(crate) fn child() -> bool {
    let Ok(argument) = std::env::var(CHILD) else { return false };
    let words: Vec<&str> = argument.split(' ').collect();
    let [url, queue, work, count, length, start] = words[..] else { panic!("{argument}") };
    let queue = if queue == "Keylatch" { Queue::Keylatch } else { Queue::TokenList };
    let work = if work == "Short" { Work::Short } else { Work::Millisecond };
    let start = Duration::from_nanos(start.parse().expect("a time"));
    let length = Duration::from_secs_f64(length.parse().expect("a length"));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let micros = runtime.expect("a runtime").block_on(async {
        tokio::time::sleep(start.saturating_sub(now())).await;
        tasks(url, queue, work, count.parse().expect("a count"), length).await
    });
    let mut output = std::io::stdout().lock();
    for wait in micros {
        writeln!(output, "{wait}").expect("the parent reads");
    }
    true
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970")
}

async fn connect(url: &str) -> MultiplexedConnection {
    let client = redis::Client::open(url).expect("a good URL");
    let config = redis::AsyncConnectionConfig::new().set_response_timeout(None);
    client.get_multiplexed_async_connection_with_config(&config).await.expect("the server answers")
}

/// How long each task waited each time, in microseconds.
async fn tasks(url: &str, queue: Queue, work: Work, count: usize, length: Duration) -> Vec<f64> {
    let ends = Instant::now() + length;
    let all: Vec<Vec<f64>> = match queue {
        Queue::Keylatch => {
            let cache = Keylatch::builder().redis_url(url).namespace("bench").build().expect("good settings");
            let turn = move |_| {
                let cache = cache.clone();
                async move {
                    let lock = cache.lock("queue").ttl(Duration::from_secs(30)).wait(Duration::from_secs(60));
                    let asked = Instant::now();
                    let had = lock.run(async |_lease| {
                        let waited = asked.elapsed();
                        work.done().await;
                        waited
                    });
                    had.await.expect("its turn comes")
                }
            };
            everybody(count, ends, turn).await
        }
        Queue::TokenList => {
            let connections = join_all((0..count).map(|_| connect(url))).await;
            let turn = move |index: usize| {
                let mut connection: MultiplexedConnection = connections[index].clone();
                async move {
                    let asked = Instant::now();
                    let mut take = redis::cmd("BLPOP");
                    take.arg(LIST).arg(0).exec_async(&mut connection).await.expect("its turn comes");
                    let waited = asked.elapsed();
                    work.done().await;
                    let mut give = redis::cmd("RPUSH");
                    give.arg(LIST)
                        .arg("token")
                        .exec_async(&mut connection)
                        .await
                        .expect("the server answers");
                    waited
                }
            };
            everybody(count, ends, turn).await
        }
    };
    all.into_iter().flatten().collect()
}

async fn everybody<F>(
    count: usize,
    ends: Instant,
    turn: impl Fn(usize) -> F + Clone + Send + Sync + 'static,
) -> Vec<Vec<f64>>
where
    F: Future<Output = Duration> + Send,
{
    let tasks = (0..count).map(|index| {
        let turn = turn.clone();
        tokio::spawn(async move {
            let mut waits = Vec::new();
            while Instant::now() < ends {
                waits.push(turn(index).await.as_secs_f64() * 1e6);
            }
            waits
        })
    });
    join_all(tasks).await.into_iter().map(|waits| waits.expect("no task panics")).collect()
}
