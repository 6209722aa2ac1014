//! What one call is to do: the entry's key, what it depends on, and the options of the attribute.

use std::sync::OnceLock;
use std::time::Duration;

use smallvec::SmallVec;

use super::Function;
use super::aging::Aging;
use crate::Keylatch;
use crate::cache::CachedCall;
use crate::codec::{Compression, DEFAULT_ABOVE, Packing};
use crate::key::{Key, KeyWriter, stamp_of};
use crate::store::{Stamp, StampState};

/// Filled in by generated code, one method an option; read by the flow.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) home: Keylatch,
    pub(crate) function: &'static Function,
    pub(crate) key: Key,
    /// Tags that are the same for every call.
    fixed_tags: &'static [&'static str],
    /// What else the attribute declares: tags that are made from arguments, other entries.
    declared: SmallVec<[Key; 1]>,
    /// All of them by their keys, made when first asked for: a hit needs none.
    stamps: OnceLock<Vec<Key>>,
    pub(crate) mode: Mode,
    pub(crate) options: Options,
}

/// What awaiting the handle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    ReadThrough,
    Refresh,
    Bypass,
}

/// The options of one function, as its attribute states them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Options {
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

/// How a cached `None` is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Negative {
    LikeValues,
    For(Duration),
    Off,
}

/// By how much stamps outlive the entries of the function that reads them. What is made from such an entry may live longer
/// than this; then the stamps' lives are pushed forward when it is stored.
pub(crate) const STAMP_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Plan {
    /// A plan without a key yet, for a function of that `Keylatch`.
    #[must_use]
    pub fn new(function: &'static Function, home: Keylatch) -> Self {
        Self {
            function,
            key: Key::empty(),
            fixed_tags: &[],
            declared: SmallVec::new(),
            stamps: OnceLock::new(),
            mode: Mode::ReadThrough,
            options: Options {
                ttl: None,
                negative: Negative::LikeValues,
                jitter: 0.0,
                timeout: None,
                load_timeout: None,
                hold_off: None,
                aging: Aging::default(),
                version: 0,
                track: true,
                local: Local::Watched,
                compress: None,
                compress_above: DEFAULT_ABOVE,
            },
            home,
        }
    }

    /// The entry's key, by the attribute's template.
    pub fn key(&mut self, write: impl FnOnce(&mut KeyWriter)) -> &mut Self {
        self.key = self.home.space().entry(write);
        self
    }

    /// The entry's key, by the function's path and its arguments.
    pub fn default_key(&mut self, path: &str, write: impl FnOnce(&mut KeyWriter)) -> &mut Self {
        self.key = self.home.space().entry(|writer| {
            writer.path(path);
            write(writer);
        });
        self
    }

    /// Tags without placeholders.
    pub fn fixed_tags(&mut self, tags: &'static [&'static str]) -> &mut Self {
        self.fixed_tags = tags;
        self
    }

    /// One tag.
    pub fn tag(&mut self, write: impl FnOnce(&mut KeyWriter)) -> &mut Self {
        self.declare(self.home.space().tag(write))
    }

    /// Dies with that other entry, and with whatever that one declares to depend on.
    pub fn depends_on(&mut self, other: &impl CachedCall) -> &mut Self {
        let other = other.plan();
        self.declare(stamp_of(&other.key));
        for stamp in other.stamps() {
            if !self.declared.contains(stamp) {
                self.declare(stamp.clone());
            }
        }
        self
    }

    /// Declares what is made for one of several entries in place of what was for the one before.
    pub(crate) fn redeclare(&mut self, common: usize) {
        self.declared.truncate(common);
        self.stamps.take();
    }

    /// What is declared beside what all entries of the function depend on.
    pub(crate) fn declared(&self) -> &[Key] {
        &self.declared
    }

    fn declare(&mut self, stamp: Key) -> &mut Self {
        self.declared.push(stamp);
        self.stamps.take();
        self
    }

    /// The stamps that the entry depends on by declaration: everything, the function, tags, other entries; each once.
    pub(crate) fn stamps(&self) -> &[Key] {
        self.stamps.get_or_init(|| {
            let space = self.home.space();
            let mut stamps = Vec::with_capacity(3 + self.fixed_tags.len() + self.declared.len());
            stamps.extend([space.all().clone(), self.function.stamp(space)]);
            stamps.extend(self.home.distrusts().then(|| space.servers().clone()));
            stamps.extend(self.fixed_tags.iter().map(|tag| space.tag(|key| key.literal(tag))));
            for stamp in &self.declared {
                if !stamps.contains(stamp) {
                    stamps.push(stamp.clone());
                }
            }
            stamps
        })
    }

    /// Whether every entry of the function depends on the same stamps by declaration.
    pub(crate) fn depends_alike(&self) -> bool {
        self.declared.is_empty()
    }

    /// See [`Options::ttl`].
    pub fn ttl(&mut self, ttl: Duration) -> &mut Self {
        self.options.ttl = Some(ttl);
        self
    }

    /// `None`: absence is not stored.
    pub fn negative_ttl(&mut self, ttl: Option<Duration>) -> &mut Self {
        self.options.negative = ttl.map_or(Negative::Off, Negative::For);
        self
    }

    /// A fraction between 0 and 1.
    pub fn jitter(&mut self, fraction: f64) -> &mut Self {
        self.options.jitter = fraction.clamp(0.0, 1.0);
        self
    }

    /// Of each operation on the store.
    pub fn timeout(&mut self, timeout: Duration) -> &mut Self {
        self.options.timeout = Some(timeout);
        self
    }

    /// How long a load may keep others waiting.
    pub fn load_timeout(&mut self, timeout: Duration) -> &mut Self {
        self.options.load_timeout = Some(timeout);
        self
    }

    /// The version of the value's meaning, beside its shape.
    pub fn version(&mut self, version: u32) -> &mut Self {
        self.options.version = version;
        self
    }

    /// How long nothing is stored after an invalidation of the entry.
    pub fn hold_off(&mut self, hold_off: Duration) -> &mut Self {
        self.options.hold_off = Some(hold_off);
        self
    }

    /// How long values are kept in the memory of the process at most; `None`: not at all.
    pub fn local(&mut self, local: Option<Duration>) -> &mut Self {
        self.options.local = local.map_or(Local::Off, Local::For);
        self
    }

    /// How values are compressed.
    pub fn compress(&mut self, compression: Compression) -> &mut Self {
        self.options.compress = Some(compression);
        self
    }

    /// See [`Options::compress_above`].
    pub fn compress_above(&mut self, bytes: usize) -> &mut Self {
        self.options.compress_above = bytes;
        self
    }

    /// From which age on an entry is renewed behind the call that it answers.
    pub fn refresh_after(&mut self, age: Duration) -> &mut Self {
        self.options.aging.refresh_after = Some(age);
        self
    }

    /// How long an entry that cannot be renewed goes on answering beyond its end.
    pub fn stale_if_error(&mut self, grace: Duration) -> &mut Self {
        self.options.aging.stale_if_error = Some(grace);
        self
    }

    /// Each hit pushes the entry's life forward.
    pub fn sliding(&mut self) -> &mut Self {
        self.options.aging.sliding = true;
        self
    }

    /// Cached functions that the body calls are not recorded.
    pub fn untracked(&mut self) -> &mut Self {
        self.options.track = false;
        self
    }

    /// The declared stamps by their states, in their order; `None` if one of them is held.
    pub(crate) fn current(&self, states: &[StampState]) -> Option<Vec<(Key, Stamp)>> {
        let current = |(key, state): (&Key, &StampState)| match state {
            StampState::Current(stamp) => Some((key.clone(), *stamp)),
            StampState::Held => None,
        };
        self.stamps().iter().zip(states).map(current).collect()
    }

    /// The life of an entry: the value's own, that of absences, or the function's, shortened by the jitter. `None`: it
    /// is not to be stored.
    pub(crate) fn life(&self, absent: bool, own: Option<Duration>) -> Option<Duration> {
        let life = match (own, absent, self.options.negative) {
            (Some(own), _, _) => own,
            (None, true, Negative::Off) => return None,
            (None, true, Negative::For(ttl)) => ttl,
            (None, _, _) => self.options.ttl?,
        };
        let shortened = life.mul_f64(1.0 - self.options.jitter * crate::random::fraction());
        (!shortened.is_zero()).then_some(shortened)
    }

    /// Whether and how an entry's payload is compressed.
    pub(crate) fn packing(&self) -> Option<Packing> {
        self.options.compress.map(|compression| Packing { compression, above: self.options.compress_above })
    }

    /// How long the stamps live at least after they were read: longer than the entry that is to be made.
    pub(crate) fn stamp_life(&self) -> Duration {
        let negative = match self.options.negative {
            Negative::For(ttl) => ttl,
            Negative::LikeValues | Negative::Off => Duration::ZERO,
        };
        self.options.aging.kept(self.options.ttl.unwrap_or(STAMP_MARGIN).max(negative)) + STAMP_MARGIN
    }
}
