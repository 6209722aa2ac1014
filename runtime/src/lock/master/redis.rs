//! A Redis server or cluster as a lock master: one script a request, or for a lock that may be free one plain command.

use std::collections::HashSet;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::{Pipeline, Value};

use super::kind::Kind;
use super::{Acquire, Answer, Extend, FencingToken, Freed, Held, LockMaster, MasterTime, Mint, Owned, Queue};
use crate::connection::{Connection, Repeat, Request, Route, Server, pause_before, slot_of};
use crate::error::{Error, ErrorKind, Result};
use crate::key::{Key, Namespace, queue_of};
use crate::lock::inbox::PREFIX;
use crate::lock::refusals::Refusals;
use crate::lock::sharing::Sharing;
use crate::lock::value::{LockValue, ValueBytes};
use crate::script::{LockScripts, Lua};

/// See the module.
#[derive(Debug)]
pub(crate) struct RedisMaster {
    connection: Connection,
    namespace: Namespace,
    scripts: LockScripts,
    unanswered: Unanswered,
    refusals: Refusals,
}

/// Values that were asked for over connections which were lost before the answer came.
#[derive(Debug, Default)]
struct Unanswered(Mutex<HashSet<LockValue>>);

impl Unanswered {
    /// More than are lost at once: what is beyond ends by itself.
    const MOST: usize = 4_096;

    fn values(&self) -> MutexGuard<'_, HashSet<LockValue>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, value: LockValue) {
        let mut values = self.values();
        if values.len() < Self::MOST {
            values.insert(value);
        }
    }

    fn take(&self, value: LockValue) -> bool {
        self.values().remove(&value)
    }
}

/// Whether a request was sent, and its connection lost before the answer.
fn is_unanswered(error: &Error) -> bool {
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<redis::RedisError>());
    error.kind() == ErrorKind::Unavailable && cause.is_some_and(|cause| cause.code().is_none())
}

/// What a request failed with: if its last repetition was not even sent, that one before it was not answered.
fn as_sent(error: Error, unanswered: Option<Error>) -> Error {
    unanswered.filter(|_| error.is_unsent()).unwrap_or(error)
}

/// How long whoever was handed a lock has to answer before it is the next one's.
pub(crate) const CLAIM: Duration = Duration::from_millis(500);
/// How long a queue outlives the last request of those who wait in it.
const QUEUE_LIFE: Duration = Duration::from_secs(60);
/// How many tokens are taken for whoever is handed a lock: they cannot say how many, and a process may hand it on.
pub(crate) const TOKENS: u64 = 16;

impl RedisMaster {
    pub(crate) fn new(connection: Connection, namespace: Namespace) -> Self {
        Self {
            connection,
            namespace,
            scripts: LockScripts::new(),
            unanswered: Unanswered::default(),
            refusals: Refusals::default(),
        }
    }

    /// Breaks the rule that a lock is freed only for its holder.
    pub(crate) fn without_value_check(mut self) -> Self {
        self.scripts.release = LockScripts::release_anyones();
        self
    }

    pub(crate) fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Runs a script of another primitive, where its first key is. All keys must lie in one slot of a cluster.
    #[expect(dead_code, reason = "semaphores, read/write locks and latches have scripts of their own")]
    pub(crate) async fn script(
        &self,
        operation: &'static str,
        lua: &Lua,
        keys: &[&Key],
        args: &[&[u8]],
    ) -> Result<Value> {
        lua.run(&self.connection, operation, Repeat::Safe, keys, args).await
    }

    /// Where tokens of that lock are counted: one counter for the namespace; in a cluster, one for the namespace in each slot.
    pub(crate) fn counter(&self, lock: &Key) -> Key {
        let shared = Key([self.namespace.as_str().as_bytes(), b"#fence"].concat().into());
        if !self.connection.is_cluster() {
            return shared;
        }
        let tag = format!(":{{{}}}", tag_of(slot_of(lock.as_bytes())));
        Key([shared.as_bytes(), tag.as_bytes()].concat().into())
    }
}

/// A text that lies in that slot of a cluster: the smallest number that does.
fn tag_of(slot: u16) -> u32 {
    static TAGS: OnceLock<Box<[u32]>> = OnceLock::new();
    TAGS.get_or_init(|| {
        let mut tags = vec![u32::MAX; 1 << 14];
        let mut missing = tags.len();
        for number in 0.. {
            let tag = &mut tags[usize::from(slot_of(number.to_string().as_bytes()))];
            if *tag == u32::MAX {
                *tag = number;
                missing -= 1;
                if missing == 0 {
                    break;
                }
            }
        }
        tags.into()
    })[usize::from(slot)]
}

/// Whether the keys of a lock lie on two nodes, as while their slot is on its way: that may be so for hours. The lock itself
/// can be reached all the same.
fn is_on_its_way(error: &Error, lock: Owned<'_>) -> bool {
    lock.sharing == Sharing::Alone && error.has_code("TRYAGAIN")
}

impl LockMaster for RedisMaster {
    async fn acquire(&self, request: &Acquire<'_>) -> Result<Answer> {
        let mut unanswered = None;
        if is_plain(request) && !self.refusals.are_recent() {
            match self.acquire_free(request).await {
                Ok(true) => return Ok(Answer::Granted { token: None }),
                Ok(false) => {}
                // Asked by the script, what it finds ours counts as granted. The request may still come, after all.
                Err(error) if is_unanswered(&error) && request.queue == Queue::Leave => {
                    self.unanswered.note(request.lock.value);
                    unanswered = Some(error);
                }
                Err(error) => return Err(error),
            }
        }
        self.acquire_or_queue(request).await.map_err(|error| as_sent(error, unanswered))
    }

    async fn extend(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        if let [only] = locks {
            return vec![self.extend_one(only).await];
        }
        self.extend_many(locks).await
    }

    async fn release(&self, lock: Owned<'_>) -> Result<Freed> {
        self.free(lock, &[]).await
    }

    async fn leave(&self, lock: Owned<'_>, mint: Option<Mint>) -> Result<Freed> {
        let proposal = mint.map_or_else(String::new, |mint| mint.proposal.to_string());
        self.free(lock, &[&lock.value.bytes(), proposal.as_bytes()].concat()).await
    }
}

/// Whether nothing is wanted but the lock, by somebody who has not asked before.
fn is_plain(request: &Acquire<'_>) -> bool {
    let Acquire { lock, mint, queue, instead_of, .. } = request;
    lock.sharing == Sharing::Alone && mint.is_none() && instead_of.is_none() && *queue != Queue::Stay
}

impl RedisMaster {
    /// Whether a request for that value may still be on its way, from a connection that was lost. Forgets it.
    pub(super) fn may_come_late(&self, value: LockValue) -> bool {
        self.unanswered.take(value)
    }

    /// Takes the lock if it is free, at half of what a script costs. Says whether it did.
    ///
    /// The queue is not looked at: a lock that somebody waits for is handed over when it is released, so it is free only if its
    /// holder's time is over. Whoever waits then may be overtaken, once: the release that follows serves the queue.
    async fn acquire_free(&self, request: &Acquire<'_>) -> Result<bool> {
        let Acquire { lock, ttl, .. } = request;
        let mut set = redis::cmd("SET");
        set.arg(lock.key.as_bytes()).arg(&lock.value.bytes()).arg("NX").arg("PX").arg(millis(*ttl));
        let route = Route::to(lock.key, Server::Any, Repeat::Never);
        match self.connection.command("lock", route, &set).await {
            Ok(Value::Okay) => Ok(true),
            Ok(Value::Nil) => {
                self.refusals.note();
                Ok(false)
            }
            Ok(_) => Err(Error::new(ErrorKind::Protocol, "lock")),
            Err(error) => Err(error),
        }
    }

    async fn acquire_or_queue(&self, request: &Acquire<'_>) -> Result<Answer> {
        let Acquire { lock, ttl, mint, queue, instead_of } = request;
        let counter = self.counter(lock.key);
        let proposal = mint.map_or_else(String::new, |mint| mint.proposal.to_string());
        let count = mint.map_or(TOKENS, |mint| mint.count).to_string();
        let instead_of = instead_of.map(LockValue::bytes);
        let queueing: &[u8] = match queue {
            Queue::Leave => b"leave",
            Queue::Join => b"join",
            Queue::Stay => b"stay",
        };
        let kind = Kind::of(&self.scripts, *lock);
        let (queue_key, value, ttl_text) = (queue_of(lock.key), lock.value.bytes(), millis(*ttl));
        let (claim, queue_life) = (millis(CLAIM), millis(QUEUE_LIFE));
        let keys = kind.keys(&[lock.key, &queue_key, &counter]);
        let args = kind.args(&[
            &value,
            ttl_text.as_bytes(),
            proposal.as_bytes(),
            count.as_bytes(),
            queueing,
            PREFIX,
            claim.as_bytes(),
            queue_life.as_bytes(),
            instead_of.as_ref().map_or(&[], |value| &value[..]),
        ]);
        let ask = || kind.acquire.run(&self.connection, "lock", Repeat::Never, &keys, &args);
        let mut answer = ask().await;
        let mut unanswered = None;
        let repetitions = if *queue == Queue::Join { 0 } else { self.connection.limits().max_retries };
        for repetition in 0..repetitions {
            if !answer.as_ref().is_err_and(is_unanswered) {
                break;
            }
            // Once more: what it finds ours counts as granted, and whoever is queued is found there. The request before may
            // still be on its way, and come after all.
            self.unanswered.note(lock.value);
            unanswered = answer.err();
            pause_before(repetition).await;
            answer = ask().await;
        }
        match answer {
            Err(error) if mint.is_none() && is_on_its_way(&error, *lock) => {
                let apart = self.acquire_apart(*lock, *ttl, instead_of).await;
                apart.map_err(|error| as_sent(error, unanswered))
            }
            answer => {
                let answer = answer.map_err(|error| as_sent(error, unanswered))?;
                let answer = read_answer(&answer, mint.is_some())?;
                if let Answer::Held(_) = answer {
                    self.refusals.note();
                }
                Ok(answer)
            }
        }
    }

    async fn free(&self, lock: Owned<'_>, entry: &[u8]) -> Result<Freed> {
        let counter = self.counter(lock.key);
        let kind = Kind::of(&self.scripts, lock);
        let queue = queue_of(lock.key);
        let keys = kind.keys(&[lock.key, &queue, &counter]);
        let (claim, tokens, value) = (millis(CLAIM), TOKENS.to_string(), lock.value.bytes());
        let args = kind.args(&[&value, PREFIX, claim.as_bytes(), tokens.as_bytes(), entry]);
        let freed = match kind.release.run(&self.connection, "unlock", Repeat::Never, &keys, &args).await {
            Err(error) if is_on_its_way(&error, lock) => {
                let release = &self.scripts.apart.release;
                release.run(&self.connection, "unlock", Repeat::Never, &[lock.key], &[&value]).await?
            }
            freed => freed?,
        };
        match freed {
            Value::Int(0) => Ok(Freed::NotHeld),
            Value::Int(1) => Ok(Freed::Free),
            Value::Int(2) => Ok(Freed::HandedOver),
            _ => Err(Error::new(ErrorKind::Protocol, "unlock")),
        }
    }

    /// Without the queue: whoever waits meanwhile asks again in its time. A token cannot be had so, for its counter lies apart.
    async fn acquire_apart(
        &self,
        lock: Owned<'_>,
        ttl: Duration,
        instead_of: Option<ValueBytes>,
    ) -> Result<Answer> {
        let instead_of = instead_of.as_ref().map_or(&[][..], |value| &value[..]);
        let (value, ttl) = (lock.value.bytes(), millis(ttl));
        let args = [&value[..], ttl.as_bytes(), instead_of];
        let acquire = &self.scripts.apart.acquire;
        let answer = acquire.run(&self.connection, "lock", Repeat::Safe, &[lock.key], &args).await?;
        read_answer(&answer, false)
    }

    async fn extend_one(&self, extend: &Extend<'_>) -> Result<Option<Duration>> {
        let Extend { lock, ttl } = extend;
        let (value, ttl) = (lock.value.bytes(), millis(*ttl));
        let kind = Kind::of(&self.scripts, *lock);
        let (keys, args) = (kind.keys(&[lock.key]), [&value[..], ttl.as_bytes()]);
        let extended = kind.extend.run(&self.connection, "extend", Repeat::Safe, &keys, &args).await?;
        read_extended(&extended)
    }

    /// One pipeline; where keys lie on several nodes, the commands gather on each one's connection.
    async fn extend_many(&self, locks: &[Extend<'_>]) -> Vec<Result<Option<Duration>>> {
        if self.connection.is_cluster() {
            return join_all(locks.iter().map(|lock| self.extend_one(lock))).await;
        }
        let mut answers = self.extend_together(locks).await;
        if let (Some(first), true) = (locks.first(), answers.iter().any(is_unknown)) {
            // The server does not know the script, since it was restarted perhaps: it does after this.
            let _also_in_the_others = self.extend_one(first).await;
            answers = self.extend_together(locks).await;
        }
        answers.into_iter().map(|answer| answer.and_then(|answer| read_extended(&answer))).collect()
    }

    async fn extend_together(&self, locks: &[Extend<'_>]) -> Vec<Result<Value>> {
        let mut pipeline = Pipeline::with_capacity(locks.len());
        for Extend { lock, ttl } in locks {
            let (value, ttl) = (lock.value.bytes(), millis(*ttl));
            let kind = Kind::of(&self.scripts, *lock);
            pipeline.add_command(kind.extend.by_hash(&kind.keys(&[lock.key]), &[&value, ttl.as_bytes()]));
        }
        let route = Route { key: None, server: Server::Any, repeat: Repeat::Safe };
        match self.connection.send("extend", route, Request::all(&pipeline)).await {
            Ok(Value::Array(answers)) if answers.len() == locks.len() => {
                answers.into_iter().map(Ok).collect()
            }
            Ok(_) => locks.iter().map(|_| Err(Error::new(ErrorKind::Protocol, "extend"))).collect(),
            Err(error) => locks.iter().map(|_| Err(error.clone())).collect(),
        }
    }
}

/// Whether the server does not know a script by its hash.
fn is_unknown(answer: &Result<Value>) -> bool {
    matches!(answer, Ok(Value::ServerError(error)) if error.code() == "NOSCRIPT")
}

fn read_answer(answer: &Value, fenced: bool) -> Result<Answer> {
    let number = |value: &Value| match value {
        Value::Int(number) => u64::try_from((*number).max(0)).ok(),
        _ => None,
    };
    let Value::Array(parts) = answer else { return Err(Error::new(ErrorKind::Protocol, "lock")) };
    let parts: Option<Vec<u64>> = parts.iter().map(number).collect();
    match parts.as_deref() {
        Some(&[1, token]) => Ok(Answer::Granted { token: fenced.then(|| FencingToken::new(token)) }),
        Some(&[0, left, place, at]) => Ok(Answer::Held(Held {
            left: Duration::from_millis(left),
            place: (place > 0).then_some(place),
            at: MasterTime(at),
        })),
        _ => Err(Error::new(ErrorKind::Protocol, "lock")),
    }
}

fn read_extended(answer: &Value) -> Result<Option<Duration>> {
    match answer {
        Value::Int(left) => Ok(u64::try_from(*left).ok().map(Duration::from_millis)),
        _ => Err(Error::new(ErrorKind::Protocol, "extend")),
    }
}

/// Redis refuses a life of 0 ms.
fn millis(life: Duration) -> String {
    u64::try_from(life.as_millis()).unwrap_or(u64::MAX / 2).clamp(1, u64::MAX / 4).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_lie_in_their_slots() {
        for slot in [0, 1, 5_061, 16_383] {
            assert_eq!(slot_of(format!("n#fence:{{{}}}", tag_of(slot)).as_bytes()), slot);
        }
    }
}
