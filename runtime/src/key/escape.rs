//! Percent-escaping: an argument can never contain what separates arguments.

use super::KeyBytes;

/// Appends `text`, escaping everything but letters, digits, `-`, `_`, `.` and `~` as `%XX` per byte.
pub(super) fn push_escaped(out: &mut KeyBytes, text: &[u8]) {
    push_escaped_unless(out, text, |_| false);
}

/// The same, letting the bytes that `also` accepts pass.
pub(super) fn push_escaped_unless(out: &mut KeyBytes, text: &[u8], also: impl Fn(u8) -> bool) {
    let plain = |byte: u8| is_plain(byte) || also(byte);
    if text.iter().all(|&byte| plain(byte)) {
        out.extend_from_slice(text);
        return;
    }
    for &byte in text {
        if plain(byte) {
            out.push(byte);
        } else {
            out.extend_from_slice(&[b'%', hex(byte >> 4), hex(byte & 15)]);
        }
    }
}

fn is_plain(byte: u8) -> bool {
    PLAIN[usize::from(byte)]
}

/// A look-up instead of comparisons: this is asked of every byte of every argument.
static PLAIN: [bool; 256] = {
    let mut plain = [false; 256];
    let mut byte = 0_u8;
    while byte.is_ascii() {
        plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        byte += 1;
    }
    plain
};

fn hex(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}
