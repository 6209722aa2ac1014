//! What all clones of a `Keylatch` share.

use std::ops::Deref;
use std::sync::Arc;

use super::Inner;

/// Every call of a cached function holds one. That of the process lives as long as the process, so nobody need count who has
/// it: the count would be a cache line for which all threads wait at every hit in memory.
pub(super) enum Handle {
    Counted(Arc<Inner>),
    OfProcess(&'static Arc<Inner>),
}

impl Clone for Handle {
    #[inline]
    fn clone(&self) -> Self {
        match self {
            Self::Counted(inner) => Self::Counted(Arc::clone(inner)),
            Self::OfProcess(inner) => Self::OfProcess(inner),
        }
    }
}

impl Deref for Handle {
    type Target = Arc<Inner>;

    #[inline]
    fn deref(&self) -> &Arc<Inner> {
        match self {
            Self::Counted(inner) => inner,
            Self::OfProcess(inner) => inner,
        }
    }
}
