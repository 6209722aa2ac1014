//! The options of one function: what its attribute states as literals is a constant, which all calls share.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use super::aging::Aging;
use crate::codec::{Compression, DEFAULT_ABOVE};

/// The options of one function, as its attribute states them. Made in constants, one method an option.
#[derive(Debug, Clone, Copy)]
pub struct Options {
    pub(crate) fixed_tags: &'static [&'static str],
    /// Life of an entry from when it is stored. `None`: the value decides.
    pub(crate) ttl: Option<Duration>,
    pub(crate) negative: Negative,
    /// The fraction by which a life may be shortened at random.
    pub(crate) jitter: f64,
    pub(crate) timeout: Option<Duration>,
    pub(crate) load_timeout: Option<Duration>,
    pub(crate) hold_off: Option<Duration>,
    pub(crate) aging: Aging,
    pub(crate) version: u32,
    pub(crate) track: bool,
    pub(crate) local: Local,
    pub(crate) compress: Option<Compression>,
    /// Payloads of at most so many bytes are not compressed.
    pub(crate) compress_above: usize,
}

/// Whether values are kept in the memory of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Local {
    /// As long as the entry lives and the store tells of its changes.
    Watched,
    /// The same for at most so long; and for so long where the store does not tell.
    For(Duration),
    /// Every call asks the store.
    Off,
}

impl Local {
    /// For at most so long; `None`: not at all.
    pub(super) const fn of(limit: Option<Duration>) -> Self {
        match limit {
            Some(limit) => Self::For(limit),
            None => Self::Off,
        }
    }
}

/// How a cached `None` is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negative {
    LikeValues,
    For(Duration),
    Off,
}

impl Negative {
    /// Stored for so long; `None`: not at all.
    pub(super) const fn of(ttl: Option<Duration>) -> Self {
        match ttl {
            Some(ttl) => Self::For(ttl),
            None => Self::Off,
        }
    }
}

impl Options {
    /// Those of an attribute that states none.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            fixed_tags: &[],
            ttl: None,
            negative: Negative::LikeValues,
            jitter: 0.0,
            timeout: None,
            load_timeout: None,
            hold_off: None,
            aging: Aging::NONE,
            version: 0,
            track: true,
            local: Local::Watched,
            compress: None,
            compress_above: DEFAULT_ABOVE,
        }
    }

    /// Tags without placeholders.
    #[must_use]
    pub const fn fixed_tags(mut self, tags: &'static [&'static str]) -> Self {
        self.fixed_tags = tags;
        self
    }

    /// Life of an entry from when it is stored.
    #[must_use]
    pub const fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = Some(ttl);
        self
    }

    /// `None`: absence is not stored.
    #[must_use]
    pub const fn negative_ttl(mut self, ttl: Option<Duration>) -> Self {
        self.negative = Negative::of(ttl);
        self
    }

    /// A fraction between 0 and 1.
    #[must_use]
    pub const fn jitter(mut self, fraction: f64) -> Self {
        self.jitter = fraction.clamp(0.0, 1.0);
        self
    }

    /// Of each operation on the store.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long a load may keep others waiting.
    #[must_use]
    pub const fn load_timeout(mut self, timeout: Duration) -> Self {
        self.load_timeout = Some(timeout);
        self
    }

    /// The version of the value's meaning, beside its shape.
    #[must_use]
    pub const fn version(mut self, version: u32) -> Self {
        self.version = version;
        self
    }

    /// How long nothing is stored after an invalidation of the entry.
    #[must_use]
    pub const fn hold_off(mut self, hold_off: Duration) -> Self {
        self.hold_off = Some(hold_off);
        self
    }

    /// How long values are kept in the memory of the process at most; `None`: not at all.
    #[must_use]
    pub const fn local(mut self, local: Option<Duration>) -> Self {
        self.local = Local::of(local);
        self
    }

    /// How values are compressed.
    #[must_use]
    pub const fn compress(mut self, compression: Compression) -> Self {
        self.compress = Some(compression);
        self
    }

    /// Above how many bytes values are compressed.
    #[must_use]
    pub const fn compress_above(mut self, bytes: usize) -> Self {
        self.compress_above = bytes;
        self
    }

    /// From which age on an entry is renewed behind the call that it answers.
    #[must_use]
    pub const fn refresh_after(mut self, age: Duration) -> Self {
        self.aging.refresh_after = Some(age);
        self
    }

    /// How long an entry that cannot be renewed goes on answering beyond its end.
    #[must_use]
    pub const fn stale_if_error(mut self, grace: Duration) -> Self {
        self.aging.stale_if_error = Some(grace);
        self
    }

    /// Each hit pushes the entry's life forward.
    #[must_use]
    pub const fn sliding(mut self) -> Self {
        self.aging.sliding = true;
        self
    }

    /// Cached functions that the body calls are not recorded.
    #[must_use]
    pub const fn untracked(mut self) -> Self {
        self.track = false;
        self
    }
}

impl Default for Options {
    fn default() -> Self {
        Self::new()
    }
}

/// The options of one call: the function's, or a copy in which something is computed anew for each call. The copy is on the
/// heap, so that calls of functions without one stay small: they are moved on the way of every hit.
#[derive(Debug, Clone)]
pub(crate) enum Chosen {
    OfFunction(&'static Options),
    OfCall(Box<Options>),
}

impl Deref for Chosen {
    type Target = Options;

    fn deref(&self) -> &Options {
        match self {
            Self::OfFunction(options) => options,
            Self::OfCall(options) => options,
        }
    }
}

impl DerefMut for Chosen {
    fn deref_mut(&mut self) -> &mut Options {
        if let Self::OfFunction(options) = *self {
            *self = Self::OfCall(Box::new(*options));
        }
        match self {
            Self::OfCall(options) => options,
            Self::OfFunction(_) => unreachable!("it has just been copied"),
        }
    }
}
