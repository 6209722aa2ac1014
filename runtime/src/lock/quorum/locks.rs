//! Several masters as one lock master: what the rest of this crate asks for locks.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use super::admission::Admission;
use super::ballot::{Ballot, Freed as Outcome, Prolonged};
use super::contention;
use super::master::{Ask, Master};
use super::redis::RedisNode;
use super::votes::{NoQuorum, Refusal};
use super::{Quorum, QuorumRules};
use crate::clock;
use crate::connection::Connection;
use crate::error::{Error, ErrorKind, Result};
use crate::key::Namespace;
use crate::lock::master::{Acquire, Answer, Extend, Freed, Held, LockMaster, MasterTime, Mint, Owned};
use crate::lock::token::FencingToken;
use crate::lock::value::LockValue;
use crate::random;

/// See the module.
#[derive(Debug)]
pub(crate) struct QuorumLocks<M: Master = RedisNode>(Arc<Shared<M>>);

#[derive(Debug)]
struct Shared<M: Master> {
    quorum: Arc<Quorum<M>>,
    /// The locks that are held.
    held: Mutex<HashMap<LockValue, Arc<Ballot<M>>>>,
    /// Whether a task wins over the masters that locks are not held on yet.
    is_settling: AtomicBool,
}

/// How often votes are asked for again at once when they were split between several who want a lock.
const SPLIT_TRIES: u32 = 4;
/// How often masters that did not answer in time are asked again at once, and waited for twice as long.
const SHORT_TRIES: u32 = 2;
/// How often it is looked whether locks are held on all masters.
const SETTLE_EVERY: Duration = Duration::from_millis(20);
/// How often masters are looked at that have forgotten something.
const ADMIT_EVERY: Duration = Duration::from_millis(100);

impl QuorumLocks {
    pub(crate) fn new(connections: &[Connection], namespace: &Namespace, rules: QuorumRules) -> Self {
        Self::over(Quorum::new(RedisNode::all(connections, namespace), rules))
    }
}

impl<M: Master> QuorumLocks<M> {
    pub(crate) fn over(quorum: Arc<Quorum<M>>) -> Self {
        let (held, is_settling) = (Mutex::default(), AtomicBool::new(false));
        Self(Arc::new(Shared { quorum, held, is_settling }))
    }

    fn ballot(&self, value: LockValue) -> Option<Arc<Ballot<M>>> {
        self.0.held().get(&value).map(Arc::clone)
    }

    /// One try, with a few more while votes are split, when nobody may have the lock, or answers come late: a moment at which
    /// this process did not run is no outage.
    async fn win(&self, request: &Acquire<'_>) -> Result<(Arc<Ballot<M>>, u64), Refusal> {
        let quorum = &self.0.quorum;
        let proposal = request.mint.map_or(0, |mint| mint.proposal);
        let tokens = request.mint.map_or(0, |mint| mint.count);
        let (mut tries, mut was_short, mut was_admitted) = (0, 0, false);
        let mut hasty: Option<Refusal> = None;
        loop {
            let key = request.lock.key.clone();
            // What an earlier try has left is given back in the background, and must not be taken for what this one has.
            let ask =
                Ask { key, value: LockValue::new(), sharing: request.lock.sharing, ttl: request.ttl, tokens };
            let ballot = Ballot::new(Arc::clone(quorum), ask);
            let refusal = match ballot.acquire(proposal, was_short).await {
                Ok(won) => return Ok((Arc::new(ballot), won.token)),
                Err(refusal) => refusal,
            };
            drop(ballot);
            if refusal.has_resting() && !was_admitted {
                was_admitted = true;
                if quorum.admit(wall_micros()).await == Admission::Changed {
                    continue;
                }
            }
            if refusal.may_be_haste() && was_short < SHORT_TRIES {
                was_short += 1;
                hasty = Some(refusal);
                continue;
            }
            // Our own vote on its way back looks as if somebody else had it.
            let is_ours = hasty.as_ref().is_some_and(|earlier| refusal.is_held_by(earlier));
            if !(refusal.is_split() || is_ours) || tries == SPLIT_TRIES {
                return Err(refusal);
            }
            let pause = contention::pause(&refusal, tries, quorum.round_trip(), random::fraction());
            clock::sleep(pause).await;
            tries += 1;
        }
    }

    /// Sees to it that somebody settles.
    fn settle(&self) {
        if self.0.is_settling.swap(true, Ordering::AcqRel) {
            return;
        }
        tokio::spawn(settle(Arc::downgrade(&self.0)));
    }
}

impl<M: Master> Shared<M> {
    fn held(&self) -> MutexGuard<'_, HashMap<LockValue, Arc<Ballot<M>>>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Wins over the masters that locks are not held on yet, and admits those that have forgotten something. Most locks are given
/// back before this looks at them.
async fn settle<M: Master>(shared: Weak<Shared<M>>) {
    let mut looked = clock::now();
    loop {
        clock::sleep(SETTLE_EVERY).await;
        let Some(shared) = shared.upgrade() else { return };
        let ballots: Vec<_> = shared.held().values().cloned().collect();
        if ballots.is_empty() {
            shared.is_settling.store(false, Ordering::Release);
            // One may have come meanwhile, and have left it to us.
            if shared.held().is_empty() || shared.is_settling.swap(true, Ordering::AcqRel) {
                return;
            }
        }
        for ballot in ballots {
            ballot.settle();
        }
        if shared.quorum.has_resting() && clock::now() - looked > ADMIT_EVERY {
            looked = clock::now();
            let quorum = Arc::clone(&shared.quorum);
            // Not waited for: a master that does not answer takes its time.
            tokio::spawn(async move { quorum.admit_unless_busy(wall_micros()).await });
        }
    }
}

/// From where tokens go on when nobody remembers.
fn wall_micros() -> u64 {
    clock::wall_ms().saturating_mul(1_000)
}

impl<M: Master> LockMaster for QuorumLocks<M> {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        // What we have under this value, or give up for it, would be in our own way.
        for given_up in [Some(request.lock.value), request.instead_of].into_iter().flatten() {
            let ballot = self.0.held().remove(&given_up);
            drop(ballot);
        }
        let (ballot, last) = match self.win(request).await {
            Ok(won) => won,
            Err(refusal) if refusal.is_contended() => {
                let left = refusal.left.unwrap_or(request.ttl);
                return Ok(Answer::Held(Held {
                    left,
                    place: None,
                    at: MasterTime(clock::moment().micros()),
                }));
            }
            Err(refusal) => return Err(no_quorum(refusal)),
        };
        self.0.held().insert(request.lock.value, ballot);
        self.settle();
        let first = |count: u64| FencingToken::new(last + 1 - count);
        Ok(Answer::Granted { token: request.mint.map(|mint| first(mint.count)) })
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        let extended = locks.iter().map(async |lock| {
            let Some(ballot) = self.ballot(lock.lock.value) else { return Ok(None) };
            let left = ballot.won().map(|won| won.deadline - clock::moment());
            match ballot.extend().await {
                Prolonged::Kept => Ok(left),
                Prolonged::Lost => Ok(None),
                Prolonged::Unconfirmed(refusal) => Err(no_quorum(refusal)),
            }
        });
        futures_util::future::join_all(extended).await
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        let Some(ballot) = self.0.held().remove(&lock.value) else { return Ok(Freed::NotHeld) };
        match ballot.release().await {
            Outcome::Released => Ok(Freed::Free),
            Outcome::NotHeld => Ok(Freed::NotHeld),
            Outcome::Unknown(refusal) => Err(no_quorum(refusal)),
        }
    }

    /// There is no queue: who waits asks again.
    async fn leave(&self, lock: Owned<'_>, _mint: Option<Mint>) -> Result<Freed> {
        self.release(lock).await
    }
}

fn no_quorum(refusal: Refusal) -> Error {
    Error::new(ErrorKind::Unavailable, "lock")
        .because(NoQuorum { needed: refusal.needed, votes: refusal.votes })
}
