//! Keys: how arguments become the names of entries, tags, stamps and locks.

mod escape;
mod namespace;
mod part;
mod pattern;
mod space;
mod writer;

pub use part::{KeyPart, part, path_of};
pub use pattern::Pattern;
pub use writer::KeyWriter;

pub(crate) use namespace::Namespace;
pub(crate) use pattern::FullPattern;
pub(crate) use space::{
    KeySpace, counter_of, entry_of, ids_of, is_permit_of, is_servers, permit_of, queue_of, refresh_of,
    shared_of, sharing_of, stamp_of, wanted_of,
};

use std::fmt;

use smallvec::SmallVec;

/// Bytes of a key that live on the stack while they are short.
pub(crate) type KeyBytes = SmallVec<[u8; IN_PLACE]>;

/// How many.
const IN_PLACE: usize = 80;

/// A complete key: namespace, template and encoded arguments.
///
/// Keys are printable ASCII. Arguments are percent-escaped, so two keys are equal only if their templates and their
/// arguments are; a key longer than [`Key::MAX_LEN`] keeps a readable head and ends in a 128-bit BLAKE3 hash of the whole.
///
/// ```
/// use keylatch::Key;
///
/// let key = Key::of("product").part(&7_u64).part("blue shoes");
/// assert_eq!(key.to_string(), "product:7:blue%20shoes");
/// ```
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Key(pub(crate) KeyBytes);

impl Key {
    /// Longest key in bytes before the rest is hashed.
    pub const MAX_LEN: usize = 512;

    /// Starts a key for the programmatic API. The name may hold letters, digits and `-` `_` `.` `~` `:` `/`;
    /// everything else in it is escaped.
    #[must_use]
    pub fn of(name: &str) -> Self {
        let mut writer = KeyWriter::after(&[]);
        writer.path(name);
        Self(writer.into_bytes())
    }

    /// Appends `:` and one encoded argument.
    #[must_use]
    pub fn part<P: KeyPart + ?Sized>(self, part: &P) -> Self {
        let mut writer = KeyWriter::after(&self.0);
        writer.literal(":");
        part.write_key(&mut writer);
        Self(writer.into_bytes())
    }

    /// What a key is before it is written.
    pub(crate) fn empty() -> Self {
        Self(KeyBytes::new())
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl From<&str> for Key {
    fn from(name: &str) -> Self {
        Self::of(name)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({self})")
    }
}
