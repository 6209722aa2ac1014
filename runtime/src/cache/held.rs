//! What the body of a cached function may ask about the load that it is part of.

use super::dependencies::Recorder;

/// Whether the cached function whose body is running is loading under a hold: its entry, or something that it depends on, was
/// invalidated with `hold_off`, or is being written by a `#[cache_invalidate(.., when = around)]`.
///
/// Such a load answers its caller and is not stored, because what it reads may lag behind the write. A body that reads a
/// replica of a database should then read the primary, so that at least its caller is told the truth.
///
/// False in every other load, in the body of a call that is [bypassed](crate::CachedCall::bypass), and outside of cached
/// functions. Each cached function is asked for itself: what it calls in its body is a load of its own. Tasks that the body
/// spawns are not seen. It tells how it was when the load began.
///
/// ```
/// use keylatch::cached;
///
/// # #[derive(Clone, Copy, PartialEq, Debug)]
/// enum Source {
///     Replica,
///     Primary,
/// }
///
/// #[cached(key = "stock:{sku}", ttl = "1h", hold_off = "2s")]
/// async fn stock(sku: u64) -> u32 {
///     let source = if keylatch::must_read_primary() { Source::Primary } else { Source::Replica };
///     read(source, sku).await
/// }
/// # async fn read(_: Source, _: u64) -> u32 { 1 }
///
/// assert!(!keylatch::must_read_primary());
/// ```
#[must_use]
pub fn must_read_primary() -> bool {
    Recorder::is_held()
}
