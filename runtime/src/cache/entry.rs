//! The programmatic API: what `#[cached]` does, for a key that is made at run time.

use std::time::Duration;

use super::Function;
use super::call::{CachedCall, call, call_aging, call_refreshing};
use super::explanation::Explanation;
use super::options::Options;
use super::outcome::{Outcome, Verdict, shape};
use super::plan::Plan;
use crate::Keylatch;
use crate::codec::{Codec, Compression, MessagePack, codec};
use crate::error::Result;
use crate::key::Key;

/// One entry of a [`Keylatch`], with the options of `#[cached]` as methods.
///
/// ```
/// use std::time::Duration;
/// use keylatch::{Key, Keylatch};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> keylatch::Result<()> {
/// let cache = Keylatch::in_memory();
/// let price = || cache.entry(Key::of("price").part("apple")).ttl(Duration::from_secs(60)).tag(Key::of("prices"));
///
/// let loaded: Result<u32, std::io::Error> = price().try_get_or_load(async || Ok(42)).await;
/// assert_eq!(loaded.unwrap(), 42);
/// assert_eq!(price().get::<u32>().await?, Some(42));
/// cache.invalidate_tag("prices").await?;
/// assert_eq!(price().get::<u32>().await?, None);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an entry does nothing until it is read, loaded or changed"]
pub struct Entry<C = MessagePack> {
    plan: Plan,
    codec: std::marker::PhantomData<fn() -> C>,
}

/// The life of an entry that says nothing else.
const DEFAULT_TTL: Duration = Duration::from_secs(5 * 60);

impl Entry {
    pub(crate) fn new(home: Keylatch, function: &'static Function, key: &Key) -> Self {
        let plan = Plan::new(function, home, const { &Options::new().ttl(DEFAULT_TTL) })
            .keyed(|writer| writer.encoded(key.as_bytes()));
        Self { plan, codec: std::marker::PhantomData }
    }
}

impl<C> Entry<C> {
    /// The full key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.plan.key
    }

    /// The life of the entry from when it is stored. Default 5 minutes.
    pub fn ttl(self, ttl: Duration) -> Self {
        self.with(|plan| plan.ttl(ttl))
    }

    /// Shortens each life by a random fraction of up to this, so that entries made together do not expire together.
    /// Between 0 and 1, default 0.
    pub fn jitter(self, fraction: f64) -> Self {
        self.with(|plan| plan.jitter(fraction))
    }

    /// A tag: [`Keylatch::invalidate_tag`] invalidates all entries that have it.
    pub fn tag(self, tag: impl Into<Key>) -> Self {
        let tag = tag.into();
        self.with(|plan| plan.tag(|writer| writer.encoded(tag.as_bytes())))
    }

    /// The entry dies with that one.
    pub fn depends_on(self, other: &impl CachedCall) -> Self {
        self.with(|plan| plan.depends_on(other))
    }

    /// Limit of one look-up or claim, after which the loader answers. Default [`Builder::cache_timeout`](crate::Builder).
    pub fn timeout(self, limit: Duration) -> Self {
        self.with(|plan| plan.timeout(limit))
    }

    /// The version of the value's meaning: entries of another version are misses.
    pub fn version(self, version: u32) -> Self {
        self.with(|plan| plan.version(version))
    }

    /// Compresses values whose encoded form is above [`compress_above`](Self::compress_above), where that makes them
    /// smaller. Default: none is compressed.
    pub fn compress(self, compression: Compression) -> Self {
        self.with(|plan| plan.compress(compression))
    }

    /// Above how many bytes a value is compressed. Default 1024; says nothing without [`compress`](Self::compress).
    pub fn compress_above(self, bytes: usize) -> Self {
        self.with(|plan| plan.compress_above(bytes))
    }

    /// How long a load may keep others waiting. See `load_timeout` of [`cached`](macro@crate::cached).
    pub fn load_timeout(self, limit: Duration) -> Self {
        self.with(|plan| plan.load_timeout(limit))
    }

    /// From this age on, the entry answers at once and is renewed behind the call. Given last, for the loader then owns
    /// what it uses. See `refresh_after` of [`cached`](macro@crate::cached).
    pub fn refresh_after(self, age: Duration) -> Refreshed<C> {
        Refreshed(self.with(|plan| plan.refresh_after(age)))
    }

    /// For how long beyond its end the entry answers if the loader fails or takes longer than the
    /// [`load_timeout`](Self::load_timeout). See `stale_if_error` of [`cached`](macro@crate::cached). Nothing beside
    /// [`sliding`](Self::sliding), where there is no end.
    pub fn stale_if_error(self, grace: Duration) -> Self {
        self.with(|plan| plan.stale_if_error(grace))
    }

    /// Each hit lets the entry live for its whole life again. See `sliding` of [`cached`](macro@crate::cached).
    pub fn sliding(self) -> Self {
        self.with(Plan::sliding)
    }

    /// Another codec. Default [`MessagePack`].
    pub fn codec<Other>(self) -> Entry<Other> {
        Entry { plan: self.plan, codec: std::marker::PhantomData }
    }

    /// The stored value, or the loader's result, which is then stored.
    ///
    /// # Cancel safety
    /// A dropped load passes to one of those who wait for it.
    pub async fn get_or_load<T>(self, load: impl AsyncFnOnce() -> T) -> T
    where
        C: Codec<T>,
    {
        self.answer::<shape::Plain, T, _, _>(load).await
    }

    /// The same for a loader that can fail. Errors are not stored.
    ///
    /// # Errors
    /// The loader's own; never one of the cache.
    ///
    /// # Cancel safety
    /// A dropped load passes to one of those who wait for it.
    pub async fn try_get_or_load<T, E>(self, load: impl AsyncFnOnce() -> Result<T, E>) -> Result<T, E>
    where
        C: Codec<T>,
    {
        self.answer::<shape::Fallible, Result<T, E>, _, _>(load).await
    }

    /// The stored value, if there is one.
    ///
    /// # Errors
    /// When the server cannot be read.
    pub async fn get<T>(self) -> Result<Option<T>>
    where
        C: Codec<T>,
    {
        self.handle::<T>().peek().await
    }

    /// Stores a value, under the rules of [`CachedCall::put`].
    ///
    /// # Errors
    /// When the value cannot be encoded or the server cannot be reached.
    pub async fn put<T>(self, value: T) -> Result<()>
    where
        C: Codec<T>,
    {
        self.handle::<T>().put(value).await
    }

    /// Where the answer would come from. See [`CachedCall::explain`].
    ///
    /// # Cancel safety
    /// It only reads.
    pub async fn explain<T>(self) -> Explanation
    where
        C: Codec<T>,
    {
        self.handle::<T>().explain().await
    }

    /// Invalidates the entry. See [`CachedCall::invalidate`].
    ///
    /// # Errors
    /// When the server cannot be reached.
    pub async fn invalidate(self) -> Result<()> {
        let mut invalidation =
            crate::invalidation::Invalidation::new(self.plan.function, self.plan.home.clone());
        invalidation.entry(&self.plan);
        invalidation.apply().await
    }

    fn handle<T>(self) -> impl CachedCall<Output = T, Value = T>
    where
        C: Codec<T>,
    {
        call::<shape::Plain, T, _, _, _, _>(self.plan, codec::<C, T>(), None, always, || {
            std::future::pending()
        })
    }

    async fn answer<S, T, B, P>(self, load: B) -> T
    where
        T: Outcome<S, Payload = P>,
        B: AsyncFnOnce() -> T,
        C: Codec<P>,
    {
        if self.plan.options.aging.is_none() {
            call::<S, T, _, _, _, _>(self.plan, codec::<C, P>(), None, always, || load()).await
        } else {
            Box::pin(call_aging::<S, T, _, _, _, _>(self.plan, codec::<C, P>(), None, always, || load()))
                .await
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Plan) -> &mut Plan) -> Self {
        change(&mut self.plan);
        self
    }
}

/// An [`Entry`] that is renewed behind the calls it answers, made by [`Entry::refresh_after`].
///
/// ```
/// use std::time::Duration;
/// use keylatch::Keylatch;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let cache = Keylatch::in_memory();
/// let price = || {
///     let hour = Duration::from_secs(3600);
///     cache.entry("price").ttl(hour).refresh_after(hour / 12).get_or_load(async || 42)
/// };
/// assert_eq!(price().await, 42);
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "an entry does nothing until it is loaded"]
pub struct Refreshed<C = MessagePack>(Entry<C>);

impl<C> Refreshed<C> {
    /// The stored value, or the loader's result, which is then stored. A value that is old enough is answered at once,
    /// and the loader runs behind the call.
    ///
    /// # Cancel safety
    /// A dropped load passes to one of those who wait for it. One that runs behind goes on.
    pub async fn get_or_load<T, F>(self, load: impl FnOnce() -> F + Send + 'static) -> T
    where
        C: Codec<T>,
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let codec = codec::<C, T>();
        let load = async move || load().await;
        call_refreshing::<shape::Plain, T, _, _, _, _>(self.0.plan, codec, None, always, load).await
    }

    /// The same for a loader that can fail. Errors are not stored; those of a load behind a call are counted and traced,
    /// and the old value goes on answering until it ends.
    ///
    /// # Errors
    /// The loader's own; never one of the cache.
    ///
    /// # Cancel safety
    /// As [`get_or_load`](Self::get_or_load).
    pub async fn try_get_or_load<T, E, F>(self, load: impl FnOnce() -> F + Send + 'static) -> Result<T, E>
    where
        C: Codec<T>,
        T: Send + 'static,
        E: Send + 'static,
        F: Future<Output = Result<T, E>> + Send + 'static,
    {
        let codec = codec::<C, T>();
        let load = async move || load().await;
        call_refreshing::<shape::Fallible, Result<T, E>, _, _, _, _>(self.0.plan, codec, None, always, load)
            .await
    }
}

/// The verdict of entries that say nothing else.
pub fn always<T>(_value: &T) -> Verdict {
    Verdict { store: true, ttl: None }
}
