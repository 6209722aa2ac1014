//! How long stamps live, as far as this process knows: so that their lives are pushed forward in time, and not with each load.
//!
//! A push changes the stamp, of which the store tells every process that has it at hand: each must read it again. What is
//! noted here may be wrong, as when somebody has removed the stamp meanwhile. A stamp that dies before an entry costs a miss.

use std::time::Duration;

use quick_cache::sync::Cache;

use crate::clock::Instant;
use crate::key::{Key, KeyBytes};

/// Stamps that are remembered at most: of those that are forgotten, the life is pushed forward once more. About 3 MB.
const MOST: usize = 16_384;

/// How often a life is pushed forward at least, by each process: well within what stamps outlive entries by.
const OFTEN: Duration = Duration::from_secs(60 * 60);

/// Until when each stamp lives.
#[derive(Debug)]
pub(crate) struct Lives(Cache<KeyBytes, Instant>);

impl Lives {
    pub(super) fn new() -> Self {
        Self(Cache::new(MOST))
    }

    /// Whether the stamp is to be given that life now, which is noted as done.
    pub(crate) fn is_push_due(&self, stamp: &Key, life: Duration, now: Instant) -> bool {
        let until = now + life;
        let lasts = self.0.get(&stamp.0).is_some_and(|known| known + OFTEN >= until);
        if !lasts {
            self.0.insert(stamp.0.clone(), until);
        }
        !lasts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;

    #[test]
    fn a_life_is_pushed_forward_once_an_hour_and_for_who_needs_a_longer_one() {
        let (lives, stamp, now) = (Lives::new(), Key::of("stamp"), clock::now());
        let day = Duration::from_secs(24 * 60 * 60);
        assert!(lives.is_push_due(&stamp, day, now));
        assert!(!lives.is_push_due(&stamp, day, now));
        assert!(!lives.is_push_due(&stamp, day, now + OFTEN));
        assert!(lives.is_push_due(&stamp, day, now + OFTEN + Duration::from_secs(1)));
        assert!(lives.is_push_due(&stamp, 2 * day, now), "it must outlive an entry of another function");
        assert!(!lives.is_push_due(&stamp, day, now + day));
        assert!(lives.is_push_due(&Key::of("other"), day, now));
    }
}
