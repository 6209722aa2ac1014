//! `#[cache_invalidate]`: invalidates after a successful write, or holds entries from before it until after it.

use std::future::{self, Future};
use std::time::Duration;

use super::{Invalidation, Target};
use crate::cache::Outcome;
use crate::key::Key;
use crate::store::{Guarded, Overlap, Store, new_hold};
use crate::{Keylatch, clock, telemetry};

/// When entries are invalidated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After the body has succeeded.
    After,
    /// Nothing is stored from before the body until after it, however it ends. A crash, a panic or a drop leaves a hold
    /// that expires.
    Around,
}

/// Runs a writer's body with its invalidation. `later` adds what depends on the result.
pub async fn invalidate<S, T, B, F, L>(mut invalidation: Invalidation, when: When, body: B, later: L) -> T
where
    T: Outcome<S>,
    B: FnOnce() -> F,
    F: Future<Output = T>,
    L: FnOnce(&mut Invalidation, &T::Value),
{
    let mut holds = match when {
        When::Around if invalidation.enabled => Holds::take(&invalidation).await,
        _ => Vec::new(),
    };
    let outcome = run_held(&mut holds, body()).await;
    let succeeded = match outcome.value() {
        Some(value) => {
            later(&mut invalidation, value);
            true
        }
        None => false,
    };
    // A write that failed may have been made in part; only `around` promises to care.
    if succeeded || when == When::Around {
        // A failure is kept, repeated and traced; the body's result is the caller's in any case.
        let _ = invalidation.apply().await;
    }
    for holds in holds {
        holds.release().await;
    }
    outcome
}

/// The holds of one writer in one `Keylatch`.
struct Holds {
    home: Keylatch,
    hold: [u8; 17],
    keys: Vec<(Key, Overlap)>,
}

impl Holds {
    async fn take(invalidation: &Invalidation) -> Vec<Self> {
        let mut all: Vec<Self> = Vec::new();
        for (home, target) in &invalidation.targets {
            let (Target::Key(key) | Target::HoldOff(key, _)) = target else { continue };
            let index = all.iter().position(|holds| holds.home.id() == home.id()).unwrap_or_else(|| {
                all.push(Self { home: home.clone(), hold: new_hold(), keys: Vec::new() });
                all.len() - 1
            });
            all[index].keys.push((key.clone(), Overlap::First));
        }
        for holds in &mut all {
            holds.hold_all().await;
        }
        all
    }

    /// Holds every key, also those whose hold another has removed. A failure leaves the invalidation after the body,
    /// which is kept and repeated if it fails, too.
    async fn hold_all(&mut self) {
        let keys: Vec<&Key> = self.keys.iter().map(|(key, _)| key).collect();
        match self.home.store().hold(&keys, &self.hold, self.home.hold_life()).await {
            Ok(overlaps) => {
                for ((_, known), overlap) in self.keys.iter_mut().zip(overlaps) {
                    if overlap == Overlap::Overlapping {
                        *known = overlap;
                    }
                }
            }
            Err(error) => telemetry::hold_failed(&error),
        }
    }

    async fn keep(&mut self) {
        let life = self.home.hold_life();
        for index in 0..self.keys.len() {
            let extended = self.home.store().extend(&self.keys[index].0, &self.hold, life).await;
            if let Ok(Guarded::Refused) = extended {
                // Another writer has overwritten or outlived it: from now on neither may remove the other's.
                self.hold_all().await;
                return;
            }
        }
    }

    /// Gives back what nobody else holds. A hold that overlapped another's is left to expire: removing it could expose
    /// the other's write.
    async fn release(self) {
        for (key, overlap) in &self.keys {
            if *overlap == Overlap::First {
                // An unanswered release leaves a hold that expires by itself.
                let _ = self.home.store().release(key, &self.hold).await;
            }
        }
    }
}

async fn run_held<F: Future>(holds: &mut [Holds], body: F) -> F::Output {
    tokio::select! {
        biased;
        output = body => output,
        () = keep(holds) => unreachable!("keeping holds never completes"),
    }
}

async fn keep(holds: &mut [Holds]) {
    let Some(life) = holds.iter().map(|holds| holds.home.hold_life()).min() else {
        return future::pending().await;
    };
    loop {
        clock::sleep(life / 3).await;
        for holds in &mut *holds {
            holds.keep().await;
        }
    }
}

/// How long a hold lasts that nobody extends.
pub(crate) const HOLD_LIFE: Duration = Duration::from_secs(10);
