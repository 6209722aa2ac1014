//! The handle that a cached function returns: a future, and a name for its entry.

use std::fmt;
use std::future::Future;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use pin_project_lite::pin_project;

use super::decision::{Finding, judge};
use super::flow::{Task, expected, header, read_through, restore};
use super::outcome::{Outcome, Verdict};
use super::plan::{Mode, Plan};
use super::session::all_current;
use crate::clock;
use crate::codec::CodecHandle;
use crate::error::{Error, ErrorKind, Result};
use crate::invalidation::Invalidation;
use crate::key::Key;
use crate::store::{Freshness, Guarded, StampState, Store};

/// A call of a `#[cached]` function that has not been made yet.
///
/// Awaiting it answers as the function would: from the entry if there is a valid one, else by running the body and
/// storing the result. The other methods act on the entry that the call's arguments name; none of them runs the body,
/// except [`refresh`](Self::refresh) and [`bypass`](Self::bypass) when awaited.
///
/// # Cancel safety
/// A dropped call leaves nothing behind: a load that others wait for passes to one of them.
///
/// # Examples
/// ```
/// use keylatch::{cached, CachedCall};
///
/// #[cached(key = "greeting:{name}", ttl = "1m")]
/// async fn greeting(name: &str) -> String {
///     format!("Hello, {name}!")
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> keylatch::Result<()> {
/// # keylatch::Keylatch::in_memory().install().unwrap();
/// assert_eq!(greeting("Ada").peek().await?, None);
/// assert_eq!(greeting("Ada").await, "Hello, Ada!");
/// assert_eq!(greeting("Ada").peek().await?.as_deref(), Some("Hello, Ada!"));
/// greeting("Ada").invalidate().await?;
/// assert_eq!(greeting("Ada").peek().await?, None);
/// # Ok(())
/// # }
/// ```
#[must_use = "a call does nothing until it is awaited"]
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a call of a `#[cached]` function",
    label = "expected a call such as `product(db, id)`",
    note = "put `#[cached(..)]` on the function, or invalidate by `tags` or `patterns`"
)]
pub trait CachedCall: Future + Named {
    /// What an entry holds: the `T` of `Result<T, _>`, else the whole result.
    type Value;

    /// The entry's full key.
    fn key(&self) -> &Key;

    /// Runs the body even if there is an entry, and stores the result unless the entry is invalidated meanwhile. Entries
    /// made from this one are invalidated when it is stored. Until then the old entry answers others.
    #[must_use = "a call does nothing until it is awaited"]
    fn refresh(self) -> Self
    where
        Self: Sized;

    /// Runs the body without reading or storing.
    #[must_use = "a call does nothing until it is awaited"]
    fn bypass(self) -> Self
    where
        Self: Sized;

    /// The stored value, if there is a valid one.
    ///
    /// # Errors
    /// When the server cannot be read. Bytes that cannot be decoded are no value, not an error.
    fn peek(self) -> impl Future<Output = Result<Option<Self::Value>>> + Send
    where
        Self: Sized;

    /// Stores a value that the caller knows to be current. Loads under way are not stored over it, and entries made from
    /// this one are invalidated. Nothing is stored while the entry is held by a write
    /// (`#[cache_invalidate(.., when = "around")]`), nor if `negative_ttl = off` and the value is `None`.
    ///
    /// Races: the value counts as of this call. If the source may have changed since the value was read,
    /// [`invalidate`](Self::invalidate) is the safe choice.
    ///
    /// # Errors
    /// When the value cannot be encoded or the server cannot be reached.
    fn put(self, value: Self::Value) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized;

    /// Removes the entry, and invalidates those made from it. Once it has returned, no load that began before it is ever
    /// stored, in this process or another, and nobody who calls the function after it gets such a load's result.
    ///
    /// # Errors
    /// When the server cannot be reached: the invalidation is then kept, and repeated before this process reads anything
    /// again.
    ///
    /// # Cancel safety
    /// Not cancel safe: a dropped invalidation happened or did not.
    fn invalidate(self) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized;

    /// The same for all entries of the function, in constant time; where it names its key, for those of every function whose
    /// key has the same template.
    ///
    /// # Errors
    /// As [`invalidate`](Self::invalidate).
    fn invalidate_all(self) -> impl Future<Output = Result<()>> + Send
    where
        Self: Sized;

    /// What is left of the entry's life, or `None` if there is no entry. An invalidated entry that has not been replaced
    /// yet counts as none.
    ///
    /// # Errors
    /// When the server cannot be read.
    fn time_to_live(self) -> impl Future<Output = Result<Option<std::time::Duration>>> + Send
    where
        Self: Sized;

    /// What the call is made of.
    #[doc(hidden)]
    fn plan(&self) -> &Plan;
}

/// A handle that names entries.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a call of a `#[cached]` function",
    label = "expected a call such as `product(db, id)`",
    note = "put `#[cached(..)]` on the function, or invalidate by `tags` or `patterns`"
)]
pub trait Named {
    /// Adds the entries.
    #[doc(hidden)]
    fn invalidated_by(&self, invalidation: &mut Invalidation);
}

pin_project! {
    /// See [`CachedCall`]. No allocation: the flow takes the place of the task.
    #[must_use = "a call does nothing until it is awaited"]
    pub(crate) struct Call<P, V, B, R, F> {
        #[pin]
        state: State<Task<P, V, B>, F>,
        restore: R,
        start: fn(Task<P, V, B>) -> F,
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

/// What [`Call`] knows of the type of its values.
pub(crate) struct Shape<P, T> {
    restore: fn(&CodecHandle<P>, &[u8]) -> Result<T, String>,
    payload: fn(&T) -> Option<&P>,
}

/// The handle of one call.
pub fn call<S, T, P, V, B, F>(
    plan: Plan,
    codec: CodecHandle<P>,
    verdict: V,
    body: B,
) -> impl CachedCall<Output = T, Value = T::Value>
where
    T: Outcome<S, Payload = P>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    Call {
        state: State::Idle { task: Task { plan, codec, verdict, body } },
        restore: Shape { restore: restore::<S, T>, payload: T::payload },
        start: read_through::<S, T, V, B, F>,
    }
}

impl<P, V, B, R, F> fmt::Debug for Call<P, V, B, R, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = match &self.state {
            State::Idle { task } => Some(&task.plan),
            State::Running { .. } | State::Starting => None,
        };
        f.debug_struct("Call").field("plan", &plan).finish_non_exhaustive()
    }
}

impl<P, V, B, R, F: Future> Future for Call<P, V, B, R, F> {
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

impl<P, V, B, R, F> Call<P, V, B, R, F> {
    fn task(&self) -> &Task<P, V, B> {
        match &self.state {
            State::Idle { task } => task,
            State::Running { .. } | State::Starting => unreachable!("{POLLED}"),
        }
    }

    fn in_mode(mut self, mode: Mode) -> Self {
        if let State::Idle { task } = &mut self.state {
            task.plan.mode = mode;
        }
        self
    }

    fn into_plan(self) -> Plan {
        match self.state {
            State::Idle { task } => task.plan,
            State::Running { .. } | State::Starting => unreachable!("{POLLED}"),
        }
    }
}

impl<P, V, B, R, F> Named for Call<P, V, B, R, F> {
    fn invalidated_by(&self, invalidation: &mut Invalidation) {
        invalidation.entry(&self.task().plan);
    }
}

impl<P, V, B, T, F> CachedCall for Call<P, V, B, Shape<P, T>, F>
where
    F: Future,
{
    type Value = T;

    fn key(&self) -> &Key {
        &self.task().plan.key
    }

    fn refresh(self) -> Self {
        self.in_mode(Mode::Refresh)
    }

    fn bypass(self) -> Self {
        self.in_mode(Mode::Bypass)
    }

    fn peek(self) -> impl Future<Output = Result<Option<T>>> + Send {
        let restore = self.restore.restore;
        let codec = self.task().codec;
        let plan = self.into_plan();
        async move {
            let Some(entry) = peek(&plan, &codec).await? else { return Ok(None) };
            Ok(restore(&codec, &entry).ok())
        }
    }

    fn put(self, value: T) -> impl Future<Output = Result<()>> + Send {
        let codec = self.task().codec;
        let payload = (self.restore.payload)(&value);
        let absent = payload.is_none();
        // Encoded before the stamps are known, and so before the first await: the value need not be shared.
        let mut bytes = Vec::new();
        let encoded = payload.map_or(Ok(()), |payload| codec.encode(payload, &mut bytes));
        let plan = self.into_plan();
        let expected = expected(&plan, &codec);
        async move {
            encoded.map_err(|error| Error::new(ErrorKind::Encode, "put").because(error))?;
            let Some(life) = plan.life(absent, None) else { return Ok(()) };
            put(&plan, header(expected, life, std::time::Duration::ZERO, absent), &bytes, life).await
        }
    }

    fn invalidate(self) -> impl Future<Output = Result<()>> + Send {
        let plan = self.into_plan();
        async move {
            let mut invalidation = Invalidation::new(plan.function, plan.home.clone());
            invalidation.entry(&plan);
            invalidation.apply().await
        }
    }

    fn invalidate_all(self) -> impl Future<Output = Result<()>> + Send {
        let plan = self.into_plan();
        async move { plan.home.invalidate_function(plan.function).await }
    }

    fn time_to_live(self) -> impl Future<Output = Result<Option<std::time::Duration>>> + Send {
        let codec = self.task().codec;
        let plan = self.into_plan();
        async move {
            match peek(&plan, &codec).await? {
                Some(_) => plan.home.store().time_to_live(&plan.key).await,
                None => Ok(None),
            }
        }
    }

    fn plan(&self) -> &Plan {
        &self.task().plan
    }
}

/// The entry if it is valid.
async fn peek<P>(plan: &Plan, codec: &CodecHandle<P>) -> Result<Option<bytes::Bytes>> {
    plan.home.repeat_kept_invalidations(&plan.key).await?;
    let store = plan.home.store();
    let keys: Vec<&Key> = std::iter::once(&plan.key).chain(&plan.stamps).collect();
    let values =
        plan.home.in_time(plan.options.timeout, "read", pin!(store.read(&keys, Freshness::Current))).await?;
    let states = values[1..].iter().map(|value| StampState::of(value.as_deref()));
    let declared: Vec<_> = plan.stamps.iter().zip(states).collect();
    let Finding::Value { others } = judge(values[0].as_deref(), &declared, expected(plan, codec)) else {
        return Ok(None);
    };
    Ok(if all_current(plan, &others).await? { values[0].clone() } else { None })
}

async fn put(
    plan: &Plan,
    header: crate::codec::envelope::Header,
    payload: &[u8],
    life: std::time::Duration,
) -> Result<()> {
    let store = plan.home.store();
    let keys: Vec<&Key> = plan.stamps.iter().collect();
    let states = store.capture(&keys, plan.stamp_life().max(life)).await?;
    let mut stamps = Vec::with_capacity(states.len());
    for (key, state) in plan.stamps.iter().zip(states) {
        match state {
            StampState::Current(stamp) => stamps.push((key.as_bytes(), stamp)),
            StampState::Held => return Ok(()),
        }
    }
    let envelope = crate::codec::envelope::encode(header, stamps.into_iter(), |out| {
        out.extend_from_slice(payload);
        Ok(())
    })
    .map_err(|error| Error::new(ErrorKind::Encode, "put").because(error))?;
    let began = clock::now();
    if store.put(&plan.key, &envelope, life).await? == Guarded::Applied {
        crate::telemetry::stored(plan.function.name(), &plan.key, clock::now() - began);
        // Entries made from the value before this one must go.
        let mut invalidation = Invalidation::new(plan.function, plan.home.clone());
        invalidation.made_from(&plan.key);
        invalidation.apply().await?;
    }
    Ok(())
}
