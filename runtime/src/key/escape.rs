//! Percent-escaping: an argument can never contain what separates arguments.

/// Gives `append` the text, with everything that is not `plain` as `%XX` per byte.
#[inline]
pub(super) fn append_escaped(text: &[u8], plain: impl Fn(u8) -> bool, mut append: impl FnMut(&[u8])) {
    // Most text is plain from end to end.
    if text.iter().all(|&byte| plain(byte)) {
        return append(text);
    }
    for run in text.chunk_by(|&one, &next| plain(one) && plain(next)) {
        match run {
            [byte] if !plain(*byte) => append(&[b'%', hex(byte >> 4), hex(byte & 15)]),
            run => append(run),
        }
    }
}

/// Whether a byte stands for itself: letters, digits, `-`, `_`, `.` and `~`.
#[inline]
pub(super) fn is_plain(byte: u8) -> bool {
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
