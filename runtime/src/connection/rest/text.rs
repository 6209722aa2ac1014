//! Binary as text and back, for a transport whose arguments must be Unicode.

use std::borrow::Cow;

/// Turns every byte into the Unicode character of the same number (Latin-1 written as UTF-8).
///
/// ASCII stays as it is. Each byte becomes a sequence of its own, and no such sequence begins another one: the armour of a
/// beginning is the beginning of the armour, and the order of two values stays the same. So a script that compares
/// prefixes of stored values goes on working, provided that everything it compares is armoured.
pub(crate) fn armour(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) if text.is_ascii() => Cow::Borrowed(text),
        _ => Cow::Owned(bytes.iter().copied().map(char::from).collect()),
    }
}

/// The bytes whose [armour](armour) that is, or `None` where it is no armour at all: not UTF-8, or characters beyond
/// U+00FF.
pub(crate) fn disarm(armoured: &[u8]) -> Option<Vec<u8>> {
    if armoured.is_ascii() {
        return Some(armoured.to_vec());
    }
    let text = std::str::from_utf8(armoured).ok()?;
    text.chars().map(|character| u8::try_from(u32::from(character)).ok()).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_byte_survives() {
        let all: Vec<u8> = (0..=u8::MAX).collect();
        assert_eq!(disarm(armour(&all).as_bytes()), Some(all));
    }

    #[test]
    fn ascii_is_unchanged_and_not_copied() {
        assert!(matches!(armour(b"plain\0\x7f"), Cow::Borrowed("plain\0\x7f")));
    }

    #[test]
    fn valid_utf8_is_armoured_too() {
        // Left as it is, it could not be told from the armour of other bytes.
        assert_eq!(armour("é".as_bytes()), "\u{c3}\u{a9}");
        assert_eq!(disarm("é".as_bytes()), Some(vec![0xe9]));
    }

    #[test]
    fn what_is_no_armour_is_noticed() {
        assert_eq!(disarm(b"\xff"), None);
        assert_eq!(disarm("\u{100}".as_bytes()), None);
        // What a server writes in place of bytes that are not UTF-8.
        assert_eq!(disarm("\u{fffd}".as_bytes()), None);
    }

    proptest! {
        #[test]
        fn round_trip(bytes: Vec<u8>) {
            prop_assert_eq!(disarm(armour(&bytes).as_bytes()), Some(bytes));
        }

        #[test]
        fn prefixes_stay_prefixes(start: Vec<u8>, end: Vec<u8>, other: Vec<u8>) {
            let whole = [start.clone(), end].concat();
            prop_assert!(armour(&whole).starts_with(&*armour(&start)));
            prop_assert_eq!(armour(&whole).starts_with(&*armour(&other)), whole.starts_with(&other));
        }

        #[test]
        fn order_stays(left: Vec<u8>, right: Vec<u8>) {
            prop_assert_eq!(armour(&left).as_bytes().cmp(armour(&right).as_bytes()), left.cmp(&right));
        }
    }
}
