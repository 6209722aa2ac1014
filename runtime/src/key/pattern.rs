//! Patterns: which entries an invalidation by pattern removes.

use super::writer::{HASH_MARK, HEAD_LEN};
use super::{Key, KeyBytes, KeyPart, KeySpace, KeyWriter};
use crate::error::{Error, ErrorKind, Result};

/// A key with wildcards: `*` stands for any text, also for none. Arguments are escaped, so none of them can widen it.
///
/// ```
/// use keylatch::Pattern;
///
/// let pattern = Pattern::of("product").part(&7_u64).any();
/// assert_eq!(pattern.to_string(), "product:7:*");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern(KeyBytes);

impl Pattern {
    /// Starts a pattern with literal text, as [`Key::of`] does.
    #[must_use]
    pub fn of(name: &str) -> Self {
        Self(Key::of(name).0)
    }

    /// Appends `:` and one encoded argument.
    #[must_use]
    pub fn part<P: KeyPart + ?Sized>(self, part: &P) -> Self {
        Self(Key(self.0).part(part).0)
    }

    /// Appends `:*`.
    #[must_use]
    pub fn any(mut self) -> Self {
        self.0.extend_from_slice(b":*");
        self
    }

    pub(crate) fn written(write: impl FnOnce(&mut KeyWriter)) -> Self {
        let mut writer = KeyWriter::after(&[]);
        write(&mut writer);
        Self(writer.into_bytes())
    }

    /// The pattern within a namespace.
    ///
    /// # Errors
    /// [`ErrorKind::Pattern`] when it has no literal text and so would match everything.
    pub(crate) fn within(&self, space: &KeySpace) -> Result<FullPattern> {
        if !self.0.iter().any(u8::is_ascii_alphanumeric) {
            return Err(Error::new(ErrorKind::Pattern, "invalidate by pattern")
                .with("pattern", self)
                .remedy("it would match everything: name a key, or use `clear()`"));
        }
        let mut bytes = KeyBytes::from_slice(space.entry_prefix());
        bytes.extend_from_slice(&self.0);
        Ok(FullPattern(bytes))
    }
}

impl std::fmt::Display for Pattern {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&String::from_utf8_lossy(&self.0))
    }
}

/// A pattern with its namespace, ready to be compared with keys found in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct FullPattern(KeyBytes);

impl FullPattern {
    /// What every matching key begins with: the text before the first wildcard, cut so that the head of a hashed key
    /// still begins with it.
    pub(crate) fn literal_prefix(&self) -> &[u8] {
        let literal = self.0.split(|&byte| byte == b'*').next().unwrap_or_default();
        &literal[..literal.len().min(HEAD_LEN)]
    }

    /// Whether the entry named `key` matches. Of a hashed key only the head is known: it matches if any full key with
    /// that head could, because removing too much is a miss while removing too little is a stale entry.
    pub(crate) fn matches(&self, key: &[u8]) -> bool {
        match key.iter().position(|&byte| byte == HASH_MARK) {
            Some(HEAD_LEN) => matches_head(&self.0, &key[..HEAD_LEN]),
            Some(_) => false,
            None => matches_whole(&self.0, key),
        }
    }
}

/// Glob matching with `*` alone, linear in the text for each wildcard (the classic backtrack to the last star).
fn matches_whole(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    while t < text.len() {
        if pattern.get(p) == Some(&b'*') {
            star = Some((p, t));
            p += 1;
        } else if pattern.get(p) == Some(&text[t]) {
            p += 1;
            t += 1;
        } else if let Some((star_p, star_t)) = star {
            p = star_p + 1;
            t = star_t + 1;
            star = Some((star_p, star_t + 1));
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|&byte| byte == b'*')
}

/// Whether some text that begins with `head` matches: true as soon as a wildcard is reached within the head, or the head
/// is used up.
fn matches_head(pattern: &[u8], head: &[u8]) -> bool {
    for (index, &byte) in head.iter().enumerate() {
        match pattern.get(index) {
            Some(b'*') => return true,
            Some(&expected) if expected == byte => {}
            _ => return false,
        }
    }
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wildcards_match_any_text() {
        let check = |pattern: &str, text: &str| matches_whole(pattern.as_bytes(), text.as_bytes());
        assert!(check("a:*", "a:"));
        assert!(check("a:*:c", "a:b:b:c"));
        assert!(check("*b", "aab"));
        assert!(!check("a:*:c", "a:b:d"));
        assert!(!check("a", "ab"));
    }

    #[test]
    fn a_hashed_key_matches_by_its_head() {
        let long = format!("ns:product:{}", "x".repeat(600));
        let key = KeyWriter::after(long.as_bytes()).finish();
        let pattern = |text: &str| FullPattern(KeyBytes::from_slice(text.as_bytes()));
        assert!(pattern("ns:product:*").matches(&key));
        assert!(pattern("ns:product:*:tail").matches(&key));
        assert!(!pattern("ns:order:*").matches(&key));
        assert!(!pattern("ns:product:x").matches(&key));
    }
}
