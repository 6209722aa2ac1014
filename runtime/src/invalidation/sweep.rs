//! Invalidation by pattern: the handle that begins it, and how far it has come.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};

use super::Invalidation;
use crate::error::Result;

/// An invalidation by pattern, made by [`Keylatch::invalidate_matching`](crate::Keylatch::invalidate_matching). It begins
/// when it is awaited.
///
/// ```
/// use keylatch::{Keylatch, Pattern};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> keylatch::Result<()> {
/// let cache = Keylatch::in_memory();
/// let mut last = None;
/// cache
///     .invalidate_matching(&Pattern::of("product").any())
///     .on_progress(|progress| last = Some(progress))
///     .await?;
/// assert_eq!(last.expect("it has been told").entries, 0);
/// # Ok(())
/// # }
/// ```
///
/// # Cancel safety
/// Dropped before it has completed, it goes no further: what it had found by then is gone, or is being removed by commands
/// that were on their way; the rest stays, and nothing is repeated. So it can be bounded by a time-out, and begun again,
/// from the start.
#[must_use = "nothing is invalidated until it is awaited"]
pub struct Sweep<'a> {
    invalidation: Invalidation,
    report: Report<'a>,
}

/// How far an invalidation by pattern has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// Entries that were found and are gone now. One whose key is gone, and which others were made from, counts; one that a
    /// server shows twice while it grows counts twice.
    pub entries: u64,
    /// Keys of the servers that have been looked at, matching or not: about, for servers do not tell exactly.
    pub looked_at: u64,
    /// Keys that there are on the servers, of all kinds and namespaces, as they said when it began.
    pub keys: u64,
}

impl Progress {
    /// How much of it is done, from 0 to 1: about.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "no more than a hint")]
    pub fn fraction(&self) -> f64 {
        if self.keys == 0 { 1.0 } else { (self.looked_at as f64 / self.keys as f64).min(1.0) }
    }
}

impl Sweep<'static> {
    pub(crate) fn new(invalidation: Invalidation) -> Self {
        Self { invalidation, report: Report::to_nobody() }
    }
}

impl Sweep<'_> {
    /// Calls back after every step, of some hundreds of keys, and at the end. It is called where the future is polled, so it must not block.
    pub fn on_progress<'b>(self, tell: impl FnMut(Progress) + Send + 'b) -> Sweep<'b> {
        let telling = Telling { so_far: Progress::default(), tell: Box::new(tell) };
        Sweep { invalidation: self.invalidation, report: Report(Some(Mutex::new(telling))) }
    }
}

impl<'a> IntoFuture for Sweep<'a> {
    /// # Errors
    /// [`ErrorKind::Pattern`](crate::ErrorKind::Pattern) if the pattern would match everything; else when a server cannot be
    /// reached: the whole is then kept, and repeated before this process reads anything again.
    type Output = Result<()>;
    type IntoFuture = Pin<Box<dyn Future<Output = Result<()>> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move { self.invalidation.apply_telling(&self.report).await })
    }
}

impl fmt::Debug for Sweep<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sweep").field("invalidation", &self.invalidation).finish_non_exhaustive()
    }
}

/// Where an invalidation by pattern stands, for whoever wants to know.
pub(crate) struct Report<'a>(Option<Mutex<Telling<'a>>>);

struct Telling<'a> {
    so_far: Progress,
    tell: Box<dyn FnMut(Progress) + Send + 'a>,
}

impl Report<'static> {
    pub(crate) fn to_nobody() -> Self {
        Self(None)
    }
}

impl Report<'_> {
    /// Whether it is worth asking what is to be told.
    pub(crate) fn is_wanted(&self) -> bool {
        self.0.is_some()
    }

    /// There are so many keys to look at.
    pub(crate) fn begin(&self, keys: u64) {
        self.tell(|progress| progress.keys += keys);
    }

    /// So many keys have been looked at, and so many entries found among them and invalidated.
    pub(crate) fn step(&self, looked_at: u64, entries: u64) {
        self.tell(|progress| {
            progress.looked_at += looked_at;
            progress.entries += entries;
        });
    }

    fn tell(&self, change: impl FnOnce(&mut Progress)) {
        let Some(telling) = &self.0 else { return };
        // What a callback left half done when it panicked is its own.
        let mut telling = telling.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut telling.so_far);
        let so_far = telling.so_far;
        (telling.tell)(so_far);
    }
}
