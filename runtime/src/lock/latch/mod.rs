//! A countdown latch: somebody sets a count, each of several processes counts down once, and whoever waits goes on when
//! nothing is left.
//!
//! The way of a latch: here → [`place`] (the scripts, or their like on the embedded store) → [`gate`] (what was found, and
//! what it means to somebody who waits). Counting down is adding an id to a set, so that the same id counts once however often
//! it is sent, also when an answer was lost; which count is meant is read before, so that a late request never counts in the
//! next one.

mod embedded;
mod error;
mod gate;
mod place;

pub use error::LatchError;

pub(crate) use embedded::Latches;

use std::time::Duration;

use super::LockValue;
use crate::Keylatch;
use crate::clock;
use crate::error::Error;
use crate::key::{Key, ids_of};
use crate::random;
use crate::store::Store;
use embedded::Set;
use gate::{Judgement, judge};
use place::Place;

/// A push usually wakes whoever waits at once; these are the pauses when it does not.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A counter that others wait for, across processes. Made by [`Keylatch::countdown_latch`]. Cheap to clone.
///
/// On the embedded store it serves this process; with several masters for locks it is still kept where entries are, and so
/// shares the fate of that server.
///
/// ```
/// use std::time::Duration;
/// use keylatch::Keylatch;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), keylatch::LatchError> {
/// let imported = Keylatch::in_memory().countdown_latch("import:7");
/// imported.set(2).await?;
/// assert_eq!(imported.count_down_as("part:1").await?, 1);
/// // Done again after a crash, a part does not count twice.
/// assert_eq!(imported.count_down_as("part:1").await?, 1);
/// assert_eq!(imported.count_down_as("part:2").await?, 0);
/// imported.wait(Duration::from_secs(5)).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[must_use = "a latch does nothing until it is set, counted down or waited for"]
pub struct CountdownLatch {
    home: Keylatch,
    key: Key,
    ids: Key,
    ttl: Duration,
}

impl CountdownLatch {
    pub(crate) fn new(home: Keylatch, key: &Key) -> Self {
        let key = home.space().latch(|writer| writer.encoded(key.as_bytes()));
        Self { home, ids: ids_of(&key), key, ttl: Duration::from_secs(24 * 60 * 60) }
    }

    /// How long a latch stays after it was set or counted down, over or not. Default 24 h; at least 10 ms.
    ///
    /// After that nobody who comes new can know that it was over: [`wait`](Self::wait) then waits for the next count.
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl.max(Duration::from_millis(10));
        self
    }

    /// The latch's full key.
    #[must_use]
    pub fn key(&self) -> &Key {
        &self.key
    }

    /// Begins a count. A count of zero is over at once.
    ///
    /// # Errors
    /// [`LatchError::AlreadySet`] while another count is under way; [`LatchError::Unknown`] when the server could not be asked.
    ///
    /// # Cancel safety
    /// A dropped call may have begun the count, or not.
    pub async fn set(&self, count: u32) -> Result<(), LatchError> {
        match self.place()?.set(count, self.ttl, LockValue::new()).await {
            Ok(Set::Begun) => Ok(()),
            Ok(Set::UnderWay(left)) => Err(LatchError::AlreadySet { key: self.key.clone(), left }),
            Err(source) => Err(self.unknown(source)),
        }
    }

    /// Counts down by one, and says what is left. Each call counts once, also if its answer was lost on the way and it was sent
    /// again.
    ///
    /// # Errors
    /// [`LatchError::NotSet`] if there is no count; [`LatchError::Unknown`] when the server could not be asked.
    ///
    /// # Cancel safety
    /// A dropped call may have counted, or not. Where it will be repeated, give it a name: [`count_down_as`](Self::count_down_as).
    pub async fn count_down(&self) -> Result<u32, LatchError> {
        self.count_down_by(&LockValue::new().bytes()).await
    }

    /// Counts down by one for `id`, once however often it is called during one count, and says what is left. For work that is
    /// repeated after a crash.
    ///
    /// # Errors
    /// As [`count_down`](Self::count_down).
    ///
    /// # Cancel safety
    /// A dropped call may have counted, or not; another one with the same id makes sure.
    pub async fn count_down_as(&self, id: impl Into<Key>) -> Result<u32, LatchError> {
        self.count_down_by(id.into().as_bytes()).await
    }

    async fn count_down_by(&self, id: &[u8]) -> Result<u32, LatchError> {
        let place = self.place()?;
        let not_set = || LatchError::NotSet { key: self.key.clone() };
        let (gate, _) = place.look().await.map_err(|source| self.unknown(source))?.ok_or_else(not_set)?;
        let left = place.count_down(gate.generation, id, self.ttl).await;
        left.map_err(|source| self.unknown(source))?.ok_or_else(not_set)
    }

    /// How often it is still to be counted down; zero when the count is over.
    ///
    /// # Errors
    /// As [`count_down`](Self::count_down).
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn left(&self) -> Result<u32, LatchError> {
        let found = self.place()?.look().await.map_err(|source| self.unknown(source))?;
        found.map(|(_, left)| left).ok_or_else(|| LatchError::NotSet { key: self.key.clone() })
    }

    /// Waits until the count is over, at most for `limit`. Where none has begun, it waits for one to begin, too; a count that is
    /// over when the call begins is not waited for.
    ///
    /// # Errors
    /// [`LatchError::Timeout`]; [`LatchError::Gone`] if the count vanished before it was over;
    /// [`LatchError::Unknown`] when the server could not be asked.
    ///
    /// # Cancel safety
    /// Cancel safe.
    pub async fn wait(&self, limit: Duration) -> Result<(), LatchError> {
        let began = clock::now();
        let place = self.place()?;
        let wake = self.home.store().wake(&self.key);
        let mut pause = FIRST_PAUSE;
        let mut waited_for = None;
        loop {
            // Interest begins before the request, so that a change right after it is not missed.
            let changed = wake.changed();
            let gate = place.watch().await.map_err(|source| self.unknown(source))?;
            waited_for = match judge(waited_for, gate) {
                Judgement::Open => return Ok(()),
                Judgement::Gone => return Err(LatchError::Gone { key: self.key.clone() }),
                Judgement::Wait(generation) => generation,
            };
            let waited = clock::now() - began;
            let Some(left) = limit.checked_sub(waited).filter(|left| !left.is_zero()) else {
                return Err(LatchError::Timeout { key: self.key.clone(), waited });
            };
            tokio::select! {
                () = changed => {}
                () = clock::sleep(pause.mul_f64(0.5 + 0.5 * random::fraction()).min(left)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    fn place(&self) -> Result<Place<'_>, LatchError> {
        let primary = self.home.store().primary().map_err(|source| self.unknown(source))?;
        Ok(Place { primary, key: &self.key, ids: &self.ids })
    }

    fn unknown(&self, source: Error) -> LatchError {
        LatchError::Unknown { key: self.key.clone(), source }
    }
}
