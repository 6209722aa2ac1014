//! Who else may have a lock at the same time.

/// See the module.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Sharing {
    /// Nobody.
    Alone,
    /// Others that share it, too, but nobody who wants it alone.
    Shared,
    /// So many in all.
    Permits(u32),
}
