//! What is written at a lock's key: which process has it, and by which of its acquisitions.

use std::fmt;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::random;

/// New for each acquisition, so that a late answer or release is never taken for another's. 10 random bytes that name the
/// process and its inbox, and a number: both together never meet twice.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct LockValue(u64);

/// The value as servers see it: 20 hexadecimal digits of the process, 16 of the number.
pub(crate) type ValueBytes = [u8; LockValue::LEN];

impl LockValue {
    /// Bytes of a value.
    pub(crate) const LEN: usize = 36;
    /// Those that name the process.
    pub(crate) const PROCESS_LEN: usize = 20;

    pub(crate) fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }

    /// Which of this process's acquisitions it is.
    #[cfg(feature = "test-util")]
    pub(crate) fn number(self) -> u64 {
        self.0
    }

    /// As it is written at the key.
    pub(crate) fn bytes(self) -> ValueBytes {
        let mut bytes = [0; Self::LEN];
        bytes[..Self::PROCESS_LEN].copy_from_slice(process());
        hexadecimal(&self.0.to_be_bytes(), &mut bytes[Self::PROCESS_LEN..]);
        bytes
    }

    /// One of this process, read back.
    pub(crate) fn of_this_process(bytes: &[u8]) -> Option<Self> {
        let number = bytes.strip_prefix(process())?;
        if number.len() != Self::LEN - Self::PROCESS_LEN {
            return None;
        }
        u64::from_str_radix(std::str::from_utf8(number).ok()?, 16).ok().map(Self)
    }
}

/// What names this process in values, and its inbox.
pub(crate) fn process() -> &'static [u8; LockValue::PROCESS_LEN] {
    static PROCESS: OnceLock<[u8; LockValue::PROCESS_LEN]> = OnceLock::new();
    PROCESS.get_or_init(|| {
        let mut digits = [0; LockValue::PROCESS_LEN];
        hexadecimal(&random::bytes::<{ LockValue::PROCESS_LEN / 2 }>(), &mut digits);
        digits
    })
}

fn hexadecimal(bytes: &[u8], digits: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(digits.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

/// Whoever knows a value can free the lock.
impl fmt::Debug for LockValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LockValue(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_differ_and_are_read_back() {
        let (one, two) = (LockValue::new(), LockValue::new());
        assert_ne!(one.bytes(), two.bytes());
        assert_eq!(LockValue::of_this_process(&one.bytes()), Some(one));
        assert!(one.bytes().iter().all(u8::is_ascii_hexdigit));
        let mut foreign = two.bytes();
        foreign[0] = b'-';
        assert_eq!(LockValue::of_this_process(&foreign), None);
        assert_eq!(LockValue::of_this_process(&one.bytes()[1..]), None);
    }
}
