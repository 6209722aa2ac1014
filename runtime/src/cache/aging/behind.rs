//! Renewing an entry behind the call that it has answered.

use std::future::Future;
use std::marker::PhantomData;
use std::time::Duration;

use super::super::decision::{Expected, Prefix};
use super::super::flow::{Task, load_and_store};
use super::super::outcome::{Outcome, Verdict};
use super::super::plan::Plan;
use super::attempts::Attempt;
use super::claim::{Claim, kept};
use super::renewal;
use crate::codec::envelope::{self, Times};
use crate::{Keylatch, clock, random, telemetry};

/// The least time that a body is given behind a call, where no `load_timeout` is set.
const LEAST_TIME: Duration = Duration::from_secs(30);
/// About how long a process leaves an entry alone that another one renews, or that it cannot claim.
const REST: Duration = Duration::from_millis(500);
/// The same for an entry that was renewed already. It was read from a replica that lags, or a moment ago.
const SHORT_REST: Duration = Duration::from_millis(20);

/// What becomes of a call that was answered by an entry which is due.
pub(in crate::cache) trait Behind<K> {
    /// The call's own body is not needed any more, so it is what runs.
    fn renew(task: K, expected: Expected, entry: &[u8]);
}

/// Nothing: its body may borrow.
#[derive(Debug)]
pub(in crate::cache) struct Foreground;

impl<K> Behind<K> for Foreground {
    fn renew(_task: K, _expected: Expected, _entry: &[u8]) {}
}

/// Its body runs in a task of its own.
pub(in crate::cache) struct Spawned<S, T, F>(PhantomData<(S, T, F)>);

impl<S, T, V, B, F> Behind<Task<T::Payload, V, B>> for Spawned<S, T, F>
where
    S: 'static,
    T: Outcome<S> + Send + 'static,
    T::Payload: 'static,
    V: FnOnce(&T::Value) -> Verdict + Send + 'static,
    B: FnOnce() -> F,
    F: Future<Output = T> + Send + 'static,
{
    fn renew(task: Task<T::Payload, V, B>, expected: Expected, entry: &[u8]) {
        let (Some(seen), Some(times)) = (envelope::prefix(entry), Times::of(entry)) else { return };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        let Some(attempt) = task.plan.home.attempts().begin_behind(&task.plan.key) else { return };
        let report = Report::new(&task.plan, attempt, times.left(clock::wall_ms()));
        let Task { plan, codec, verdict, body } = task;
        // The future is what must be sent to a task. A bound on what makes it would say the same twice, and a mistake be
        // reported twice.
        let body = body();
        let task = Task { plan, codec, verdict, body: move || body };
        runtime.spawn(refresh::<S, T, _, _, F>(task, expected, Prefix::from(seen), report));
    }
}

async fn refresh<S, T, V, B, F>(
    task: Task<T::Payload, V, B>,
    expected: Expected,
    seen: Prefix,
    report: Report,
) where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    let Task { plan, codec, verdict, body } = task;
    let claim = match Claim::take(&plan).await {
        Ok(Some(claim)) => claim,
        Ok(None) => return report.another_does(),
        Err(error) => return report.cache_failed(&error),
    };
    let lead = match renewal::over(&plan, expected, &seen, None).await {
        Ok(Some(lead)) => lead,
        Ok(None) => return report.nothing_to_do(),
        Err(error) => return report.cache_failed(&error),
    };
    // Once the entry has ended there is nothing left to replace, so a body that hangs does not keep its claim for ever.
    let limit = plan.options.load_timeout.unwrap_or(report.left.max(LEAST_TIME));
    let run = load_and_store::<S, T, V, B, F>(&plan, &codec, expected, lead, verdict, body);
    let ended = clock::within(limit, kept(Some(&claim), run)).await;
    match ended.map(|(outcome, for_storing)| (outcome.value().is_some(), for_storing)) {
        Some((true, true)) => report.refreshed(),
        Some((true, false)) => report.failed("the new value is not for storing"),
        Some((false, _)) => report.failed("the body failed"),
        None => report.failed("the body took too long"),
    }
}

/// Sees to it that however a renewal ends, somebody learns of it.
struct Report {
    home: Keylatch,
    function: &'static crate::cache::Function,
    key: crate::key::Key,
    /// `None` once it has been told.
    attempt: Option<Attempt>,
    /// What was left of the entry's life.
    left: Duration,
}

impl Report {
    fn new(plan: &Plan, attempt: Attempt, left: Duration) -> Self {
        Self {
            home: plan.home.clone(),
            function: plan.function,
            key: plan.key.clone(),
            attempt: Some(attempt),
            left,
        }
    }

    fn refreshed(mut self) {
        self.function.count_refresh();
        telemetry::refreshed(self.function.name(), &self.key);
        self.attempt = None;
    }

    /// The entry is another by now.
    fn nothing_to_do(mut self) {
        self.rest(SHORT_REST);
    }

    fn another_does(mut self) {
        self.rest(REST);
    }

    fn cache_failed(mut self, error: &crate::Error) {
        self.function.count_error();
        self.function.count_failed_refresh();
        telemetry::renewal_failed(self.function.name(), &self.key, error);
        self.rest(REST);
    }

    fn rest(&mut self, rest: Duration) {
        if let Some(attempt) = self.attempt.take() {
            attempt.rest(rest.mul_f64(0.5 + random::fraction()));
        }
    }

    fn failed(mut self, reason: &'static str) {
        self.tell(reason);
    }

    fn tell(&mut self, reason: &'static str) {
        let Some(attempt) = self.attempt.take() else { return };
        attempt.failed(self.left.max(Duration::from_secs(10)));
        self.function.count_failed_refresh();
        // What is under way when the process shuts down is no news.
        if self.home.open("refresh").is_ok() {
            telemetry::refresh_failed(self.function.name(), &self.key, reason);
        }
    }
}

impl Drop for Report {
    fn drop(&mut self) {
        self.tell("it panicked, or the runtime ended");
    }
}
