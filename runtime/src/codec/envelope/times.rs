//! The times that an envelope tells, read where they lie.

use std::time::Duration;

use super::{FIXED_LEN, array};

/// What the times of an envelope mean for a reader. All are milliseconds since the Unix epoch by the writer's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Times {
    pub(crate) written_at_ms: u64,
    pub(crate) fresh_until_ms: u64,
    pub(crate) expires_at_ms: u64,
    /// How long loading the value took.
    pub(crate) load: Duration,
}

impl Times {
    /// Of an envelope that was checked before: hashing the payload once more would cost a hit more than all it decides.
    pub(crate) fn of(envelope: &[u8]) -> Option<Self> {
        let (fixed, _) = envelope.split_first_chunk::<FIXED_LEN>()?;
        Some(Self {
            written_at_ms: u64::from_le_bytes(array(fixed, 20)),
            fresh_until_ms: u64::from_le_bytes(array(fixed, 28)),
            expires_at_ms: u64::from_le_bytes(array(fixed, 36)),
            load: Duration::from_micros(u32::from_le_bytes(array(fixed, 44)).into()),
        })
    }

    /// The life that the value was given when it was written.
    pub(crate) fn life(self) -> Duration {
        Duration::from_millis(self.expires_at_ms.saturating_sub(self.written_at_ms))
    }

    /// What is left of that life.
    pub(crate) fn left(self, now_ms: u64) -> Duration {
        Duration::from_millis(self.expires_at_ms.saturating_sub(now_ms))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::envelope::{Header, encode};

    #[test]
    fn the_times_are_those_of_the_header() {
        let header = Header {
            nonce: [1; 8],
            codec: 2,
            fingerprint: 3,
            written_at_ms: 4_000,
            fresh_until_ms: 5_000,
            expires_at_ms: 6_500,
            load_us: 7,
            absent: false,
            writer: None,
        };
        let bytes = encode(header, std::iter::empty(), |_| Ok(())).unwrap();
        let times = Times::of(&bytes).unwrap();
        let load = Duration::from_micros(7);
        assert_eq!(times, Times { written_at_ms: 4_000, fresh_until_ms: 5_000, expires_at_ms: 6_500, load });
        assert_eq!(times.life(), Duration::from_millis(2_500));
        assert_eq!(times.left(6_400), Duration::from_millis(100));
        assert_eq!(times.left(7_000), Duration::ZERO);
        assert_eq!(Times::of(&bytes[..57]), None);
    }
}
