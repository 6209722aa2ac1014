//! Two contestants, many short batches in turn, the median of the ratios of neighbours: what else the machine does comes and
//! goes, and touches both.

use std::future::Future;
use std::time::{Duration, Instant};

use futures_util::future::join_all;

use crate::aims;

/// Each contestant has the time of so many rounds.
const ROUNDS: u32 = 9;
/// Pairs of batches at least.
const FEWEST: usize = 9;
/// Seconds of one round, unless the environment says otherwise.
const FULL: f64 = 0.25;

/// How many tasks call, and what is shown.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contest {
    pub(crate) tasks: usize,
    pub(crate) unit: Unit,
}

/// What is compared: less is better for the one, more for the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Time of a call; the ratio is ours to the bare one's.
    Latency,
    /// Calls a second; the ratio is ours to the bare one's.
    Throughput,
}

impl Contest {
    /// Runs both and prints one line of the table. `name` is the contest's, then the bare contestant's, with a bar between.
    pub(crate) async fn run<B, O>(self, name: &str, bare: impl Fn(usize) -> B, ours: impl Fn(usize) -> O)
    where
        B: Future<Output = ()> + Send + 'static,
        O: Future<Output = ()> + Send + 'static,
    {
        if !is_wanted(name) {
            return;
        }
        let (mut bare_times, mut our_times) = (Vec::new(), Vec::new());
        let (mut ratios, mut differences) = (Vec::new(), Vec::new());
        // The first batch of each warms up.
        let _warm = (self.batch(&bare).await, self.batch(&ours).await);
        let began = Instant::now();
        while began.elapsed() < 2 * ROUNDS * round_time() || ratios.len() < FEWEST {
            let (b, o) = if ratios.len() % 2 == 0 {
                let b = self.batch(&bare).await;
                (b, self.batch(&ours).await)
            } else {
                let o = self.batch(&ours).await;
                (self.batch(&bare).await, o)
            };
            bare_times.push(b);
            our_times.push(o);
            differences.push(1e6 * (o - b));
            ratios.push(match self.unit {
                Unit::Latency => o / b,
                Unit::Throughput => b / o,
            });
        }
        let (what, against) = name.split_once(" | ").expect("two names");
        // What a call costs more, of neighbours as the ratio is.
        let more = match self.unit {
            Unit::Latency => format!(" ({:+.1} µs)", median(differences)),
            Unit::Throughput => String::new(),
        };
        row(
            &format!("{what}, against {against}"),
            self.tasks,
            &self.show(median(bare_times)),
            &self.show(median(our_times)),
            &format!("{:.2}{more}", median(ratios)),
        );
    }

    /// Seconds per call: of one task's call, or of all calls together.
    async fn batch<F>(self, call: &impl Fn(usize) -> F) -> f64
    where
        F: Future<Output = ()> + Send + 'static,
    {
        // Of one task so many that its start is nothing beside them. It is a task of the runtime, as in a service, not the
        // thread that blocks on the whole.
        let each = if self.tasks == 1 { 64 } else { 16 };
        let began = Instant::now();
        let tasks = (0..self.tasks).map(|task| {
            let calls: Vec<F> = (0..each).map(|index| call(task * each + index)).collect();
            tokio::spawn(async move {
                for one in calls {
                    one.await;
                }
            })
        });
        for task in join_all(tasks).await {
            task.expect("no call panics");
        }
        let calls = u32::try_from(self.tasks * each).expect("few tasks");
        began.elapsed().as_secs_f64() / f64::from(calls)
    }

    fn show(self, seconds: f64) -> String {
        match self.unit {
            Unit::Latency if seconds < 1e-6 => format!("{:.0} ns", seconds * 1e9),
            Unit::Latency => format!("{:.1} µs", seconds * 1e6),
            Unit::Throughput => format!("{:.0} k/s", 1e-3 / seconds),
        }
    }
}

/// Prints one line of the table.
pub(crate) fn row(what: &str, tasks: usize, bare: &str, ours: &str, ratio: &str) {
    println!("| {what} | {tasks} | {bare} | {ours} | {ratio} | {} |", aims::of(what, tasks));
}

/// Whether a word on the command line is part of the name; cargo adds flags of its own.
pub(crate) fn is_wanted(name: &str) -> bool {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| !word.starts_with("--")).collect();
    words.is_empty() || words.iter().any(|word| name.contains(word))
}

pub(crate) fn round_time() -> Duration {
    Duration::from_secs_f64(round_seconds())
}

fn round_seconds() -> f64 {
    let seconds = std::env::var("KEYLATCH_BENCH_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    seconds.unwrap_or(FULL)
}

/// How large to make what takes its time by its size: all of it in a full run, less in shorter ones.
pub(crate) fn scaled(size: usize) -> usize {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a size"
    )]
    let scaled = (size as f64 * (round_seconds() / FULL).min(1.0)) as usize;
    scaled
}

pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
