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

impl Sharing {
    pub(super) fn permits(self) -> Option<u32> {
        match self {
            Self::Permits(permits) => Some(permits),
            Self::Alone | Self::Shared => None,
        }
    }
}
