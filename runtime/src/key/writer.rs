//! Writes a key piece by piece into one buffer.

use std::fmt::{self, Write};

use super::escape::{append_escaped, is_plain};
use super::{IN_PLACE, Key, KeyBytes, KeyPart};

/// What a [`KeyPart`] writes itself into. Everything it appends is escaped or a reserved character of its own.
#[derive(Debug)]
pub struct KeyWriter {
    /// What is written, while it is short: every call of a cached function writes a key, and most keys stay here.
    place: [u8; IN_PLACE],
    len: usize,
    /// All of it, once there is no more place.
    long: Vec<u8>,
    /// The head of a pattern: where the first wildcard stands.
    wildcards: bool,
}

/// Stands before the hash of a key that was too long; no argument and no template can contain it.
pub(super) const HASH_MARK: u8 = b'#';
/// What is kept of a long key: with the mark and 32 hexadecimal digits it fills [`Key::MAX_LEN`].
pub(super) const HEAD_LEN: usize = Key::MAX_LEN - 33;

impl KeyWriter {
    /// Goes on after what is written already.
    #[inline]
    pub(crate) fn after(bytes: &[u8]) -> Self {
        let mut writer = Self { place: [0; IN_PLACE], len: 0, long: Vec::new(), wildcards: false };
        writer.append(bytes);
        writer
    }

    /// Appends text, escaping everything but letters, digits, `-`, `_`, `.` and `~`.
    #[inline]
    pub fn text(&mut self, text: &str) {
        append_escaped(text.as_bytes(), is_plain, |bytes| self.append(bytes));
    }

    /// Appends what `value` displays, escaped. For types whose `Display` tells all their values apart.
    pub fn display(&mut self, value: &(impl fmt::Display + ?Sized)) {
        // Writing to a buffer in memory does not fail; a failing `Display` would only shorten the text, so say it.
        write!(Escaping(self), "{value}").expect("`Display` of a key part does not fail");
    }

    /// Appends a fixed name, such as the one of an enum's variant.
    pub fn name(&mut self, name: &'static str) {
        self.text(name);
    }

    /// Begins a sequence of [items](Self::item).
    pub fn open(&mut self) {
        self.append(b"(");
    }

    /// Appends one item of a sequence. Each ends in a comma, so `[]` and `[""]` differ.
    pub fn item<P: KeyPart + ?Sized>(&mut self, item: &P) {
        item.write_key(self);
        self.append(b",");
    }

    /// Ends a sequence.
    pub fn close(&mut self) {
        self.append(b")");
    }

    /// Appends `!` for nothing, or the value; a value that itself begins with `!` gets another one in front, so that
    /// `None` and `Some(None)` differ.
    pub fn option<P: KeyPart>(&mut self, value: Option<&P>) {
        let Some(value) = value else {
            self.append(b"!");
            return;
        };
        let start = self.written().len();
        value.write_key(self);
        if self.written().get(start) == Some(&b'!') {
            // In front or right behind the first one is the same text.
            self.append(b"!");
            self.written_mut()[start..].rotate_right(1);
        }
    }

    /// Appends literal text of a template, checked when the macro was expanded. Not for arguments.
    #[doc(hidden)]
    #[inline]
    pub fn literal(&mut self, text: &'static str) {
        self.append(text.as_bytes());
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
        self.append(b"*");
    }

    /// Appends a path such as `shop::product`, escaped but for its colons and slashes.
    pub(crate) fn path(&mut self, path: &str) {
        let plain = |byte| is_plain(byte) || matches!(byte, b':' | b'/');
        append_escaped(path.as_bytes(), plain, |bytes| self.append(bytes));
    }

    /// Appends what another writer has already encoded.
    #[inline]
    pub(crate) fn encoded(&mut self, bytes: &[u8]) {
        self.append(bytes);
    }

    #[inline]
    pub(crate) fn into_bytes(self) -> KeyBytes {
        if self.long.is_empty() {
            KeyBytes::from_buf_and_len(self.place, self.len)
        } else {
            KeyBytes::from_vec(self.long)
        }
    }

    /// The key; hashed when it is too long. A pattern is never hashed.
    #[inline]
    pub(crate) fn finish(self) -> KeyBytes {
        if self.wildcards || self.written().len() <= Key::MAX_LEN {
            return self.into_bytes();
        }
        hashed(&self.long)
    }

    #[inline]
    fn append(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.place.get_mut(self.len..end) {
            Some(room) if self.long.is_empty() => {
                room.copy_from_slice(bytes);
                self.len = end;
            }
            _ => self.append_to_long(bytes),
        }
    }

    #[cold]
    fn append_to_long(&mut self, bytes: &[u8]) {
        if self.long.is_empty() {
            self.long.reserve(2 * IN_PLACE + bytes.len());
            self.long.extend_from_slice(&self.place[..self.len]);
        }
        self.long.extend_from_slice(bytes);
    }

    #[inline]
    fn written(&self) -> &[u8] {
        if self.long.is_empty() { &self.place[..self.len] } else { &self.long }
    }

    fn written_mut(&mut self) -> &mut [u8] {
        if self.long.is_empty() { &mut self.place[..self.len] } else { &mut self.long }
    }
}

#[cold]
fn hashed(long: &[u8]) -> KeyBytes {
    let hash = blake3::hash(long).to_hex();
    let mut short = KeyBytes::from_slice(&long[..HEAD_LEN]);
    short.push(HASH_MARK);
    short.extend_from_slice(&hash.as_bytes()[..32]);
    short
}

struct Escaping<'a>(&'a mut KeyWriter);

impl Write for Escaping<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.0.text(text);
        Ok(())
    }
}
