//! Random bytes: tokens that must not be guessed or repeated, and jitter that may be.

/// Bytes from the operating system. Leases, stamps and lock tokens rely on never meeting twice.
///
/// # Panics
/// When the operating system has no randomness to give: going on with guessable tokens would be worse.
pub(crate) fn bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("the operating system provides random bytes");
    bytes
}

/// A number below `limit`, which is above zero.
pub(crate) fn below(limit: usize) -> usize {
    fastrand::usize(..limit)
}

/// A number in `0.0..1.0`, for spreading events in time.
pub(crate) fn fraction() -> f64 {
    fastrand::f64()
}
