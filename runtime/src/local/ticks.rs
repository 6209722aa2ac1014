//! The time by which values in memory age: read on every hit, so it must cost little.

use crate::clock::{self, Instant};

/// Microseconds since the epoch of its [`Ticks`].
pub(crate) type Tick = u64;

/// See the module.
#[derive(Debug)]
pub(crate) enum Ticks {
    /// The clock that tests can pause, for values over the embedded store: 35 ns a look.
    Exact { epoch: Instant },
    /// The kernel's coarse clock, which is some milliseconds behind at most: 8 ns a look, without a system call.
    Coarse { epoch: coarsetime::Instant },
}

impl Ticks {
    pub(crate) fn exact() -> Self {
        Self::Exact { epoch: clock::now() }
    }

    pub(crate) fn coarse() -> Self {
        Self::Coarse { epoch: clock::coarse() }
    }

    pub(crate) fn now(&self) -> Tick {
        match self {
            Self::Exact { epoch } => u64::try_from((clock::now() - *epoch).as_micros()).unwrap_or(Tick::MAX),
            Self::Coarse { epoch } => (clock::coarse() - *epoch).as_micros(),
        }
    }
}
