//! Writes a key piece by piece into one buffer.

use std::fmt::{self, Write};

use super::escape::{push_escaped, push_escaped_unless};
use super::{Key, KeyBytes, KeyPart};

/// What a [`KeyPart`] writes itself into. Everything it appends is escaped or a reserved character of its own.
#[derive(Debug)]
pub struct KeyWriter {
    bytes: KeyBytes,
    /// The head of a pattern: where the first wildcard stands.
    wildcards: bool,
}

/// Stands before the hash of a key that was too long; no argument and no template can contain it.
pub(super) const HASH_MARK: u8 = b'#';
/// What is kept of a long key: with the mark and 32 hexadecimal digits it fills [`Key::MAX_LEN`].
pub(super) const HEAD_LEN: usize = Key::MAX_LEN - 33;

impl KeyWriter {
    pub(crate) fn new(bytes: KeyBytes) -> Self {
        Self { bytes, wildcards: false }
    }

    /// Appends text, escaping everything but letters, digits, `-`, `_`, `.` and `~`.
    pub fn text(&mut self, text: &str) {
        push_escaped(&mut self.bytes, text.as_bytes());
    }

    /// Appends what `value` displays, escaped. For types whose `Display` tells all their values apart.
    pub fn display(&mut self, value: &(impl fmt::Display + ?Sized)) {
        // Writing to a buffer in memory does not fail; a failing `Display` would only shorten the text, so say it.
        write!(Escaping(&mut self.bytes), "{value}").expect("`Display` of a key part does not fail");
    }

    /// Appends a fixed name, such as the one of an enum's variant.
    pub fn name(&mut self, name: &'static str) {
        self.text(name);
    }

    /// Begins a sequence of [items](Self::item).
    pub fn open(&mut self) {
        self.bytes.push(b'(');
    }

    /// Appends one item of a sequence. Each ends in a comma, so `[]` and `[""]` differ.
    pub fn item<P: KeyPart + ?Sized>(&mut self, item: &P) {
        item.write_key(self);
        self.bytes.push(b',');
    }

    /// Ends a sequence.
    pub fn close(&mut self) {
        self.bytes.push(b')');
    }

    /// Appends `!` for nothing, or the value; a value that itself begins with `!` gets another one in front, so that
    /// `None` and `Some(None)` differ.
    pub fn option<P: KeyPart>(&mut self, value: Option<&P>) {
        let Some(value) = value else {
            self.bytes.push(b'!');
            return;
        };
        let start = self.bytes.len();
        value.write_key(self);
        if self.bytes.get(start) == Some(&b'!') {
            self.bytes.insert(start, b'!');
        }
    }

    /// Appends literal text of a template, checked when the macro was expanded. Not for arguments.
    #[doc(hidden)]
    pub fn literal(&mut self, text: &'static str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// Appends the name of a type that an entry depends on beside its arguments.
    #[doc(hidden)]
    pub fn type_name<T: ?Sized>(&mut self) {
        self.text(std::any::type_name::<T>());
    }

    /// Appends `*` of a pattern.
    #[doc(hidden)]
    pub fn wildcard(&mut self) {
        self.wildcards = true;
        self.bytes.push(b'*');
    }

    /// Appends a path such as `shop::product`, escaped but for its colons and slashes.
    pub(crate) fn path(&mut self, path: &str) {
        push_escaped_unless(&mut self.bytes, path.as_bytes(), |byte| matches!(byte, b':' | b'/'));
    }

    /// Appends what another writer has already encoded.
    pub(crate) fn encoded(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    pub(crate) fn into_bytes(self) -> KeyBytes {
        self.bytes
    }

    /// The key; hashed when it is too long. A pattern is never hashed.
    pub(crate) fn finish(self) -> KeyBytes {
        if self.wildcards || self.bytes.len() <= Key::MAX_LEN {
            return self.bytes;
        }
        let hash = blake3::hash(&self.bytes).to_hex();
        let mut short = KeyBytes::from_slice(&self.bytes[..HEAD_LEN]);
        short.push(HASH_MARK);
        short.extend_from_slice(&hash.as_bytes()[..32]);
        short
    }
}

struct Escaping<'a>(&'a mut KeyBytes);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        push_escaped(self.0, text.as_bytes());
        Ok(())
    }
}
