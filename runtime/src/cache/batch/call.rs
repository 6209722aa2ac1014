//! The handle that a cached batch returns: a future, and a name for its entries.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::entries::Entries;
use super::flow::{Task, peek, read_through, restore};
use super::outcome::{BatchOutcome, Gathering};
use crate::cache::call::Named;
use crate::cache::flow::expected;
use crate::cache::outcome::Verdict;
use crate::cache::plan::Mode;
use crate::codec::CodecHandle;
use crate::error::Result;
use crate::invalidation::Invalidation;
use crate::key::Key;

/// A call of a `#[cached]` function whose key has a placeholder such as `{ids[]}`: each id has an entry of its own.
///
/// Awaiting it answers as the function would: from the entries that are there, and for the rest by running the body with
/// **the ids that are missing**. What others are loading is awaited, and not loaded twice. The other methods act on the
/// entries that the ids name; none of them runs the body, except [`refresh`](Self::refresh) and [`bypass`](Self::bypass) when
/// awaited.
///
/// # Cancel safety
/// A dropped call leaves nothing behind: the loads that others wait for pass to them.
///
/// # Examples
/// ```
/// use std::collections::HashMap;
/// use keylatch::{cached, CachedBatch};
///
/// #[cached(key = "square:{numbers[]}", ttl = "1m")]
/// async fn squares(numbers: Vec<u64>) -> HashMap<u64, u64> {
///     numbers.into_iter().map(|number| (number, number * number)).collect()
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> keylatch::Result<()> {
/// # keylatch::Keylatch::in_memory().install().ok();
/// assert_eq!(squares(vec![2, 3]).await[&3], 9);
/// squares(vec![3]).invalidate().await?;
/// assert_eq!(squares(vec![2, 3]).peek().await?, HashMap::from([(2, 4)]));
/// # Ok(())
/// # }
/// ```
#[must_use = "a call does nothing until it is awaited"]
pub trait CachedBatch: Future + Named {
    /// What the function answers with when all goes well: the `T` of `Result<T, _>`, else the whole result.
    type Value;

    /// The full key of each entry: one per distinct id, in the order of the ids.
    fn keys(&self) -> impl Iterator<Item = &Key>;

    /// Runs the body for all ids even if there are entries, and stores the records unless their entries are invalidated
    /// meanwhile. Until then the old entries answer others.
    #[must_use = "a call does nothing until it is awaited"]
    fn refresh(self) -> Self
    where
        Self: Sized;

    /// Runs the body without reading or storing, with the ids as they were given.
    #[must_use = "a call does nothing until it is awaited"]
    fn bypass(self) -> Self
    where
        Self: Sized;

    /// The records that are stored. An id whose absence is stored is answered as one that is not stored: by no record.
    ///
    /// # Errors
    /// When the server cannot be read. Bytes that cannot be decoded are no record, not an error.
    fn peek(self) -> impl Future<Output = Result<Self::Value>> + Send
    where
        Self: Sized;

    /// Removes the entries of the ids, and invalidates those made from them, under the rules of
    /// [`CachedCall::invalidate`](crate::CachedCall::invalidate).
    ///
    /// # Errors
    /// When the server cannot be reached: the invalidation is then kept, and repeated before this process reads anything
    /// again.
    ///
    /// # Cancel safety
    /// Dropped once it has begun, it is kept as after a failure: it happens behind the caller, and before this process reads anything again.
    fn invalidate(self) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized;

    /// The same for all entries of the key's template, whichever function has stored them, in constant time.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    fn invalidate_all(self) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized;
}

pin_project! {
    /// See [`CachedBatch`].
    #[must_use = "a call does nothing until it is awaited"]
    pub(crate) struct Batch<K, P, V, B, M, F> {
        #[pin]
        state: State<Task<K, P, V, B, M>, F>,
        start: fn(Task<K, P, V, B, M>) -> F,
    }
}

pin_project! {
    #[project = Now]
    #[project_replace = Before]
    enum State<T, F> {
        Idle { task: T },
        Running { #[pin] flow: F },
        Starting,
    }
}

/// The handle of one call.
pub fn batch<S, K, T, P, V, B, F>(
    entries: Entries<K>,
    gathering: Gathering<K, T::Value, P>,
    codec: CodecHandle<P>,
    verdict: V,
    body: B,
) -> impl CachedBatch<Output = T, Value = T::Value>
where
    K: Clone + Send,
    T: BatchOutcome<S>,
    V: Fn(&P) -> Verdict,
    B: Fn(Vec<K>) -> F,
    F: Future<Output = T>,
{
    Batch {
        state: State::Idle { task: Task { entries, gathering, codec, verdict, body } },
        start: read_through::<S, K, T, P, V, B, F>,
    }
}

impl<K, P, V, B, M, F> fmt::Debug for Batch<K, P, V, B, M, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = match &self.state {
            State::Idle { task } => Some(&task.entries.plan),
            State::Running { .. } | State::Starting => None,
        };
        f.debug_struct("Batch").field("plan", &plan).finish_non_exhaustive()
    }
}

impl<K, P, V, B, M, F: Future> Future for Batch<K, P, V, B, M, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let mut this = self.project();
        if let Now::Idle { .. } = this.state.as_mut().project()
            && let Before::Idle { task } = this.state.as_mut().project_replace(State::Starting)
        {
            this.state.set(State::Running { flow: (this.start)(task) });
        }
        match this.state.project() {
            Now::Running { flow } => flow.poll(cx),
            Now::Idle { .. } | Now::Starting => unreachable!("the flow was started above"),
        }
    }
}

/// The methods take the handle by value or before it is pinned, so it has not been polled.
const POLLED: &str = "a call is inspected before it is polled";

impl<K, P, V, B, M, F> Batch<K, P, V, B, M, F> {
    fn task(&self) -> &Task<K, P, V, B, M> {
        match &self.state {
            State::Idle { task } => task,
            State::Running { .. } | State::Starting => unreachable!("{POLLED}"),
        }
    }

    fn in_mode(mut self, mode: Mode) -> Self {
        if let State::Idle { task } = &mut self.state {
            task.entries.plan.mode = mode;
        }
        self
    }

    fn into_entries(self) -> Entries<K> {
        match self.state {
            State::Idle { task } => task.entries,
            State::Running { .. } | State::Starting => unreachable!("{POLLED}"),
        }
    }
}

impl<K, P, V, B, M, F> Named for Batch<K, P, V, B, M, F> {
    fn invalidated_by(&self, invalidation: &mut Invalidation) {
        let entries = &self.task().entries;
        for item in &entries.items {
            invalidation.record(&entries.plan, &item.key);
        }
    }
}

impl<K: Send, P, V, B, M, F: Future> CachedBatch for Batch<K, P, V, B, M, F> {
    type Value = M;

    fn keys(&self) -> impl Iterator<Item = &Key> {
        self.task().entries.items.iter().map(|item| &item.key)
    }

    fn refresh(self) -> Self {
        self.in_mode(Mode::Refresh)
    }

    fn bypass(self) -> Self {
        self.in_mode(Mode::Bypass)
    }

    fn peek(self) -> impl Future<Output = Result<M>> + Send {
        let (codec, gather) = (self.task().codec, self.task().gathering.gather);
        let Entries { plan, ids, items, places } = self.into_entries();
        let expected = expected(&plan, &codec);
        async move {
            let stored = peek(&plan, &items, expected).await?;
            let records = stored.into_iter().map(|entry| restore(&codec, &entry?).ok()?);
            Ok(gather(ids, records.collect(), &places))
        }
    }

    fn invalidate(self) -> impl Future<Output = Result<()>> + Send {
        let Entries { plan, items, .. } = self.into_entries();
        async move {
            let mut invalidation = Invalidation::new(plan.function, plan.home.clone());
            for item in &items {
                invalidation.record(&plan, &item.key);
            }
            invalidation.apply().await
        }
    }

    fn invalidate_all(self) -> impl Future<Output = Result<()>> + Send {
        let Entries { plan, .. } = self.into_entries();
        async move { plan.home.invalidate_function(plan.function).await }
    }
}
