//! The handle that a cached function returns: a future, and a name for its entry.

mod answer;

use std::fmt;
use std::future::Future;
use std::marker::PhantomData;
use std::pin::pin;

use super::aging::{Foreground, Spawned, read_aging};
use super::at_hand::all_current;
use super::decision::{Finding, judge};
use super::explain::explain;
use super::explanation::Explanation;
use super::flow::{Task, expected, read_through, restored};
use super::keeper::Keeper;
use super::outcome::{Outcome, Verdict};
use super::plan::{Mode, Plan};
use super::put::{self, Encoded};
use super::session::First;
use crate::codec::CodecHandle;
use crate::codec::envelope::Envelope;
use crate::error::Result;
use crate::invalidation::Invalidation;
use crate::key::Key;
use crate::store::{Freshness, StampState, Store};

use answer::Progress;

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
    /// (`#[cache_invalidate(.., when = "around")]`), nor what the function's own `cache_if` or `negative_ttl = off` decline.
    /// What the body would have been found to depend on is not known here; `depends_on` and `tags` are.
    ///
    /// Races: the value counts as of this call. If the source may have changed since the value was read,
    /// [`invalidate`](Self::invalidate) is the safe choice.
    ///
    /// # Errors
    /// When the value cannot be encoded or the server cannot be reached.
    ///
    /// # Cancel safety
    /// Dropped, it has stored the value, or left the entry as it was, or absent; nobody waits for it. Entries made from the one before are
    /// invalidated behind the caller.
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
    /// Dropped once it has begun, it is kept as after a failure: it happens behind the caller, and before this process reads anything again.
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

    /// Where the answer would come from if the call were awaited now, and why: the stored value or what is in its way, when
    /// and by whom it was written, how it stands with its renewal, everything that it depends on, and the servers. It only
    /// reads, and counts as nothing; at most three round trips. Print it, or serialise it.
    ///
    /// # Cancel safety
    /// It only reads.
    fn explain(self) -> impl Future<Output = Explanation> + Send
    where
        Self: Sized;

    /// What the call is made of.
    #[doc(hidden)]
    fn plan(&self) -> &Plan;

    /// The value as the entry would hold it.
    #[doc(hidden)]
    fn encoded(self, value: &Self::Value) -> (Plan, Encoded)
    where
        Self: Sized;
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

/// See [`CachedCall`]. Kept small: it is moved on the way of every hit.
#[must_use = "a call does nothing until it is awaited"]
pub(crate) struct Call<S, T: Outcome<S>, V, B, F> {
    /// Until the flow takes it.
    task: Option<Task<T::Payload, V, B>>,
    progress: Progress<F>,
    keeper: Option<Keeper<T::Value>>,
    start: Start<T::Payload, T::Value, V, B, F>,
    shape: PhantomData<fn() -> S>,
}

// Nothing of a call is pinned in place.
impl<S, T: Outcome<S>, V, B, F> Unpin for Call<S, T, V, B, F> {}

type Start<P, T, V, B, F> = fn(Task<P, V, B>, Option<Keeper<T>>, Option<First>) -> F;

/// The handle of one call.
#[inline]
pub fn call<S, T, P, V, B, F>(
    plan: Plan,
    codec: CodecHandle<P>,
    keeper: Option<Keeper<T::Value>>,
    verdict: V,
    body: B,
) -> impl CachedCall<Output = T, Value = T::Value>
where
    T: Outcome<S, Payload = P>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    handle::<S, T, _, _, _, _>(Task { plan, codec, verdict, body }, keeper, read_through::<S, T, V, B, F>)
}

/// The same for a function with `stale_if_error` or `sliding`.
pub fn call_aging<S, T, P, V, B, F>(
    plan: Plan,
    codec: CodecHandle<P>,
    keeper: Option<Keeper<T::Value>>,
    verdict: V,
    body: B,
) -> impl CachedCall<Output = T, Value = T::Value>
where
    T: Outcome<S, Payload = P>,
    V: FnOnce(&T::Value) -> Verdict,
    B: FnOnce() -> F,
    F: Future<Output = T>,
{
    handle::<S, T, _, _, _, _>(
        Task { plan, codec, verdict, body },
        keeper,
        read_aging::<S, T, V, B, F, Foreground>,
    )
}

/// The same for a function with `refresh_after`, whose body may run behind the call: it owns all that it uses. `body` does
/// no work itself.
pub fn call_refreshing<S, T, P, V, B, F>(
    plan: Plan,
    codec: CodecHandle<P>,
    keeper: Option<Keeper<T::Value>>,
    verdict: V,
    body: B,
) -> impl CachedCall<Output = T, Value = T::Value>
where
    S: 'static,
    T: Outcome<S, Payload = P> + Send + 'static,
    P: 'static,
    V: FnOnce(&T::Value) -> Verdict + Send + 'static,
    B: FnOnce() -> F,
    F: Future<Output = T> + Send + 'static,
{
    handle::<S, T, _, _, _, _>(
        Task { plan, codec, verdict, body },
        keeper,
        read_aging::<S, T, V, B, F, Spawned<S, T, F>>,
    )
}

/// The handle of a task that `start` carries out.
#[inline]
fn handle<S, T, P, V, B, F>(
    mut task: Task<P, V, B>,
    keeper: Option<Keeper<T::Value>>,
    start: Start<P, T::Value, V, B, F>,
) -> impl CachedCall<Output = T, Value = T::Value>
where
    T: Outcome<S, Payload = P>,
    V: FnOnce(&T::Value) -> Verdict,
    F: Future<Output = T>,
{
    // A hit must reach the store to push a life forward.
    if keeper.is_none() || task.plan.options.aging.sliding {
        task.plan.local(None);
    }
    Call::<S, T, V, B, F> { task: Some(task), progress: Progress::Idle, keeper, start, shape: PhantomData }
}

impl<S, T: Outcome<S>, V, B, F> fmt::Debug for Call<S, T, V, B, F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let plan = self.task.as_ref().map(|task| &task.plan);
        f.debug_struct("Call").field("plan", &plan).finish_non_exhaustive()
    }
}

/// The methods take the handle by value or before it is pinned, so it has not been polled.
const POLLED: &str = "a call is neither inspected once it has been polled, nor polled once it has answered";

impl<S, T: Outcome<S>, V, B, F> Call<S, T, V, B, F> {
    fn task(&self) -> &Task<T::Payload, V, B> {
        self.task.as_ref().expect(POLLED)
    }

    fn in_mode(mut self, mode: Mode) -> Self {
        if let Some(task) = &mut self.task {
            task.plan.mode = mode;
        }
        self
    }

    fn into_task(self) -> Task<T::Payload, V, B> {
        self.task.expect(POLLED)
    }

    fn into_plan(self) -> Plan {
        self.into_task().plan
    }
}

impl<S, T: Outcome<S>, V, B, F> Named for Call<S, T, V, B, F> {
    fn invalidated_by(&self, invalidation: &mut Invalidation) {
        invalidation.entry(&self.task().plan);
    }
}

impl<S, T, V, B, F> CachedCall for Call<S, T, V, B, F>
where
    T: Outcome<S>,
    V: FnOnce(&T::Value) -> Verdict,
    F: Future<Output = T>,
{
    type Value = T::Value;

    fn key(&self) -> &Key {
        &self.task().plan.key
    }

    fn refresh(self) -> Self {
        self.in_mode(Mode::Refresh)
    }

    fn bypass(self) -> Self {
        self.in_mode(Mode::Bypass)
    }

    fn peek(self) -> impl Future<Output = Result<Option<T::Value>>> + Send {
        let codec = self.task().codec;
        let plan = self.into_plan();
        async move {
            let Some(entry) = peek(&plan, &codec).await? else { return Ok(None) };
            Ok(Envelope::decode(&entry).ok().and_then(|envelope| restored::<S, T>(&codec, &envelope).ok()))
        }
    }

    fn put(self, value: T::Value) -> impl Future<Output = Result<()>> + Send {
        let (plan, encoded) = self.encoded(&value);
        async move { put::put(&plan, encoded).await.map(drop) }
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
                Some(_) => {
                    let left = plan.home.store().time_to_live(&plan.key).await?;
                    Ok(left.map(|left| plan.options.aging.left(left)))
                }
                None => Ok(None),
            }
        }
    }

    fn explain(self) -> impl Future<Output = Explanation> + Send {
        let (codec, expected) = (self.task().codec, self.task().expected());
        let is_at_hand = self.at_hand().is_some();
        let plan = self.into_plan();
        async move {
            let readable = |entry: &[u8]| {
                let envelope = Envelope::decode(entry).map_err(|error| error.to_string())?;
                restored::<S, T>(&codec, &envelope).map(drop)
            };
            explain(&plan, expected, is_at_hand, readable).await
        }
    }

    fn plan(&self) -> &Plan {
        &self.task().plan
    }

    fn encoded(self, value: &T::Value) -> (Plan, Encoded) {
        let payload = T::payload(value);
        let Task { plan, codec, verdict, .. } = self.into_task();
        let verdict = verdict(value);
        let life = plan.life(payload.is_none(), verdict.ttl).filter(|_| verdict.store);
        let encoded = Encoded::new(&codec, expected(&plan, &codec), payload, life);
        (plan, encoded)
    }
}

/// The entry if it is valid.
async fn peek<P>(plan: &Plan, codec: &CodecHandle<P>) -> Result<Option<bytes::Bytes>> {
    plan.home.repeat_kept_invalidations(&plan.key).await?;
    let store = plan.home.store();
    let keys: Vec<&Key> = std::iter::once(&plan.key).chain(plan.stamps()).collect();
    let values = plan
        .home
        .in_time(plan.options.timeout, "read", pin!(store.read(&keys, Freshness::Current)))
        .await?
        .values;
    let states = values[1..].iter().map(|value| StampState::of(value.as_deref()));
    let declared: Vec<_> = plan.stamps().iter().zip(states).collect();
    let Finding::Value { others } = judge(values[0].as_deref(), &declared, expected(plan, codec)) else {
        return Ok(None);
    };
    let entry = values[0].clone().filter(|entry| !plan.options.aging.has_ended(entry));
    Ok(if entry.is_some() && all_current(plan, &others).await? { entry } else { None })
}
