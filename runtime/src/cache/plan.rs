//! What one call is to do: the entry's key, what it depends on, and the options of the attribute.

use std::sync::OnceLock;
use std::time::Duration;

use super::Function;
use super::options::{Chosen, Local, Negative, Options};
use crate::Keylatch;
use crate::cache::CachedCall;
use crate::clock::Instant;
use crate::codec::{Compression, Packing};
use crate::key::{Key, KeyWriter, stamp_of};
use crate::store::{Stamp, StampState};

/// Filled in by generated code, one method an option; read by the flow.
#[derive(Debug, Clone)]
pub struct Plan {
    pub(crate) home: Keylatch,
    pub(crate) function: &'static Function,
    pub(crate) key: Key,
    /// What the attribute declares beside fixed tags: tags that are made from arguments, other entries.
    declared: Vec<Key>,
    /// All of them by their keys, made when first asked for: a hit needs none.
    stamps: OnceLock<Box<[Key]>>,
    pub(crate) mode: Mode,
    /// Beside the other options, since it is often computed. See [`Options::ttl`].
    pub(crate) ttl: Option<Duration>,
    /// Beside the other options, since not every value can be kept. See [`Options::local`].
    pub(crate) local: Local,
    pub(crate) options: Chosen,
}

/// What awaiting the handle does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    ReadThrough,
    Refresh,
    Bypass,
}

/// By how much stamps outlive the entries of the function that reads them. What is made from such an entry may live longer
/// than this; then the stamps' lives are pushed forward when it is stored.
pub(crate) const STAMP_MARGIN: Duration = Duration::from_secs(24 * 60 * 60);

impl Plan {
    /// A plan without a key yet, for a function of that `Keylatch`.
    #[must_use]
    #[inline]
    pub fn new(function: &'static Function, home: Keylatch, options: &'static Options) -> Self {
        Self {
            home,
            function,
            key: Key::empty(),
            declared: Vec::new(),
            stamps: OnceLock::new(),
            mode: Mode::ReadThrough,
            ttl: options.ttl,
            local: options.local,
            options: Chosen::OfFunction(options),
        }
    }

    /// The same with the entry's key, by the attribute's template. In place: this is on the way of every call.
    #[must_use]
    #[inline]
    pub fn keyed(self, write: impl FnOnce(&mut KeyWriter)) -> Self {
        let key = self.home.space().entry(write);
        Self { key, ..self }
    }

    /// The same by the function's path and its arguments.
    #[must_use]
    #[inline]
    pub fn keyed_by_path(self, path: &str, write: impl FnOnce(&mut KeyWriter)) -> Self {
        self.keyed(|writer| {
            writer.path(path);
            write(writer);
        })
    }

    /// The key of another entry of the function.
    pub fn key(&mut self, write: impl FnOnce(&mut KeyWriter)) -> &mut Self {
        self.key = self.home.space().entry(write);
        self
    }

    /// The same by the function's path and its arguments.
    pub fn key_by_path(&mut self, path: &str, write: impl FnOnce(&mut KeyWriter)) -> &mut Self {
        self.key(|writer| {
            writer.path(path);
            write(writer);
        })
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
            let mut stamps = Vec::with_capacity(3 + self.options.fixed_tags.len() + self.declared.len());
            stamps.extend([space.all().clone(), self.function.stamp(space)]);
            stamps.extend(self.home.distrusts().then(|| space.servers().clone()));
            stamps.extend(self.options.fixed_tags.iter().map(|tag| space.tag(|key| key.literal(tag))));
            for stamp in &self.declared {
                if !stamps.contains(stamp) {
                    stamps.push(stamp.clone());
                }
            }
            stamps.into()
        })
    }

    /// Whether every entry of the function depends on the same stamps by declaration.
    pub(crate) fn depends_alike(&self) -> bool {
        self.declared.is_empty()
    }

    /// See [`Options::ttl`].
    pub fn ttl(&mut self, ttl: Duration) -> &mut Self {
        self.ttl = Some(ttl);
        self
    }

    /// `None`: absence is not stored.
    pub fn negative_ttl(&mut self, ttl: Option<Duration>) -> &mut Self {
        self.options.negative = Negative::of(ttl);
        self
    }

    /// A fraction between 0 and 1.
    pub fn jitter(&mut self, fraction: f64) -> &mut Self {
        *self.options = self.options.jitter(fraction);
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
        self.local = Local::of(local);
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
            (None, _, _) => self.ttl?,
        };
        let shortened = life.mul_f64(1.0 - self.options.jitter * crate::random::fraction());
        (!shortened.is_zero()).then_some(shortened)
    }

    /// Whether and how an entry's payload is compressed.
    pub(crate) fn packing(&self) -> Option<Packing> {
        self.options.compress.map(|compression| Packing { compression, above: self.options.compress_above })
    }

    /// Whether a stamp's life is to be pushed forward. Where nothing is at hand of the store, one load in sixteen does.
    pub(crate) fn is_push_due(&self, stamp: &Key, now: Instant) -> bool {
        match self.home.local() {
            Some(local) => local.lives.is_push_due(stamp, self.stamp_life(), now),
            None => crate::random::fraction() < 1.0 / 16.0,
        }
    }

    /// How long the stamps live at least after they were read: longer than the entry that is to be made.
    pub(crate) fn stamp_life(&self) -> Duration {
        let negative = match self.options.negative {
            Negative::For(ttl) => ttl,
            Negative::LikeValues | Negative::Off => Duration::ZERO,
        };
        self.options.aging.kept(self.ttl.unwrap_or(STAMP_MARGIN).max(negative)) + STAMP_MARGIN
    }
}
