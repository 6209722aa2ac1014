//! What a simulated client does: takes the lock, holds it, prolongs it, gives it back, or is stopped or killed in between.

use std::future::Future;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll};
use std::time::Duration;

use super::network::{SimMaster, draw};
use crate::clock::{self, Instant, Moment};
use crate::key::Key;
use crate::lock::quorum::Quorum;
use crate::lock::quorum::ballot::{Ballot, Prolonged, Won};
use crate::lock::quorum::contention;
use crate::lock::quorum::master::{Ask, Token};
use crate::lock::sharing::Sharing;
use crate::lock::value::LockValue;

pub(super) const TTL: Duration = Duration::from_secs(1);
/// How often the rest of the masters is won over.
const SETTLE: Duration = Duration::from_millis(50);

/// One time that the lock was had.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) client: usize,
    /// The first and the last.
    pub(super) tokens: (Token, Token),
    pub(super) asked: Instant,
    pub(super) from: Instant,
    /// When the holder let go, or could no longer rely on it.
    pub(super) to: Instant,
}

/// What all clients write down.
pub(super) type History = Arc<Mutex<Vec<Held>>>;

pub(super) struct Client {
    pub(super) index: usize,
    pub(super) quorum: Arc<Quorum<SimMaster>>,
    pub(super) key: Key,
    pub(super) rounds: u32,
    pub(super) history: History,
    pub(super) wall: Wall,
    /// The highest token that it has had.
    pub(super) seen: AtomicU64,
}

/// A client's wall clock: ahead of the others', or stuck.
pub(super) struct Wall {
    pub(super) ahead: u64,
    pub(super) is_stuck: bool,
    pub(super) start: Instant,
}

impl Wall {
    fn micros(&self) -> u64 {
        let since = u64::try_from((clock::now() - self.start).as_micros()).unwrap();
        if self.is_stuck { 1 } else { since + self.ahead }
    }
}

fn up_to(millis: u64) -> Duration {
    Duration::from_millis(draw(|rng| rng.u64(..=millis)))
}

fn once_in(chance: u32) -> bool {
    draw(|rng| rng.u32(..chance)) == 0
}

impl Client {
    pub(super) async fn live(self) {
        clock::sleep(up_to(300)).await;
        for _ in 0..self.rounds {
            self.round().await;
            clock::sleep(up_to(200)).await;
        }
    }

    /// One lock, unless it is not had for long.
    async fn round(&self) {
        for tries in 0..7 {
            let ask = Ask {
                key: self.key.clone(),
                value: LockValue::new(),
                sharing: Sharing::Alone,
                ttl: TTL,
                tokens: draw(|rng| rng.u64(1..=3)),
            };
            let tokens = ask.tokens;
            let ballot = Ballot::new(Arc::clone(&self.quorum), ask);
            let asked = clock::now();
            let proposal = self.wall.micros().max(self.seen.load(Ordering::Relaxed) + 1);
            // Its process may stand still while answers come.
            let stops = once_in(6).then(|| {
                let from = asked + up_to(8);
                (from, from + Duration::from_millis(400) + up_to(1_000))
            });
            let acquired = Stuttering::new(ballot.acquire(proposal, 0), stops.into_iter().collect());
            let refusal = if once_in(12) {
                // Dropped while it is under way.
                match clock::within(up_to(12), acquired).await {
                    Some(outcome) => outcome,
                    None => return,
                }
            } else {
                acquired.await
            };
            let refusal = match refusal {
                Ok(won) => return self.hold(ballot, asked, won, tokens).await,
                Err(refusal) => refusal,
            };
            drop(ballot);
            if refusal.has_resting() {
                let _ = self.quorum.admit(self.wall.micros()).await;
            }
            let luck = draw(fastrand::Rng::f64);
            let pause = contention::pause(&refusal, tries, self.quorum.round_trip(), luck);
            clock::sleep(pause).await;
        }
    }

    async fn hold(&self, ballot: Ballot<SimMaster>, asked: Instant, won: Won, tokens: u64) {
        self.seen.fetch_max(won.token, Ordering::Relaxed);
        let from = clock::now();
        let wanted = from + if once_in(3) { up_to(2_500) } else { up_to(60) };
        let is_killed = once_in(10);
        // The virtual clock is never suspended.
        let instant = |deadline: Moment| clock::now() + (deadline - clock::moment());
        let mut deadline = instant(won.deadline);
        let mut next = from + TTL / 3;
        let to = loop {
            let now = clock::now();
            if now >= wanted.min(deadline) {
                break wanted.min(deadline).max(from);
            }
            let _is_settled = ballot.settle();
            clock::sleep_until(wanted.min(next).min(deadline).min(now + SETTLE)).await;
            if clock::now() >= next && clock::now() < wanted {
                // As a real holder: not relied on any longer than the deadline that stands.
                let left = deadline.saturating_duration_since(clock::now());
                match clock::within(left, ballot.extend()).await {
                    Some(Prolonged::Kept) => {
                        deadline = instant(ballot.won().expect("it is kept").deadline);
                    }
                    Some(Prolonged::Lost) => break clock::now().min(deadline),
                    Some(Prolonged::Unconfirmed(_)) | None => {}
                }
                next = clock::now() + TTL / 5;
            }
        };
        let held = Held { client: self.index, tokens: (won.token + 1 - tokens, won.token), asked, from, to };
        self.history.lock().unwrap().push(held);
        if is_killed {
            // Nobody gives it back.
            std::mem::forget(ballot);
        } else {
            let _ = ballot.release().await;
        }
    }
}

/// Runs a future, but for the times at which its process stands still: what it waits for happens meanwhile.
pub(super) struct Stuttering<F> {
    inner: Pin<Box<F>>,
    stops: Vec<(Instant, Instant)>,
    sleeping: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl<F> Stuttering<F> {
    pub(super) fn new(inner: F, stops: Vec<(Instant, Instant)>) -> Self {
        Self { inner: Box::pin(inner), stops, sleeping: None }
    }
}

impl<F: Future> Future for Stuttering<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        loop {
            if let Some(sleeping) = &mut self.sleeping {
                if sleeping.as_mut().poll(cx).is_pending() {
                    return Poll::Pending;
                }
                self.sleeping = None;
            }
            let now = clock::now();
            let Some((_, to)) = self.stops.iter().find(|(from, to)| (*from..*to).contains(&now)) else {
                return self.inner.as_mut().poll(cx);
            };
            self.sleeping = Some(Box::pin(clock::sleep_until(*to)));
        }
    }
}
