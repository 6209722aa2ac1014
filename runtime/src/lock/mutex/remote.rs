//! Asking servers for a lock: one of those who stand for it in this process asks for all.

use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::oneshot;

use super::acquire::{Waiting, look_again};
use super::claim::{Claim, Hold};
use super::gate::{Entered, Wants};
use super::turn::{Active, Ask, Tenure, Turn, is_long};
use crate::clock::{self, Moment};
use crate::lock::inbox::{Listener, Push};
use crate::lock::master::{
    Acquire, Answer, AnyMaster, CLAIM, Held, LockMaster, MasterTime, Owned, Queue, TOKENS,
};
use crate::lock::options::{LockBuilder, validity};
use crate::lock::sharing::Sharing;
use crate::lock::value::LockValue;
use crate::lock::{FencingToken, LockError};

/// How often somebody who waits behind others of this process looks whether they are still there: when the lease of who has
/// the lock ends, within these bounds.
const LOOK: Duration = Duration::from_secs(1);
const SHORTEST_LOOK: Duration = Duration::from_millis(1);

pub(super) async fn acquire(
    options: LockBuilder,
    master: &AnyMaster,
    waiting: &Waiting,
) -> Result<Claim, LockError> {
    if options.sharing != Sharing::Alone {
        // Those who have it together have nothing to hand to each other: each asks for itself.
        let mut active = Active::new(&options, &Handle::current(), APART, Turn::fresh());
        Asking { options: &options, master, waiting }.ask(&mut active).await?;
        return Ok(hold(options, active));
    }
    let wants = Wants { ttl: options.ttl, fence: options.fence };
    let runtime = Handle::current();
    let mut active = match options.home.gates().enter(&options.key, (!waiting.is_try()).then_some(wants)) {
        Entered::First(epoch) => Active::new(&options, &runtime, epoch, Turn::fresh()),
        Entered::Behind(turn) => Behind { options: &options, runtime, turn }.wait(waiting).await?,
        Entered::Refused => return Err(LockError::Busy { key: options.key.clone() }),
    };
    if let Some(Turn::Ask(_)) = active.turn {
        Asking { options: &options, master, waiting }.ask(&mut active).await?;
    }
    Ok(hold(options, active))
}

/// Of those who stand at no gate.
const APART: u64 = u64::MAX;

/// A lock that is asked for together with others, at no gate: should somebody of this process stand there, the master tells who
/// comes first. Dropping it gives back what may have been taken.
#[derive(Debug)]
pub(in crate::lock) struct Together {
    options: LockBuilder,
    value: LockValue,
    active: Active,
}

impl Together {
    pub(in crate::lock) fn new(options: LockBuilder) -> Self {
        let ask = Ask { is_known: true, ..Ask::new(None) };
        let value = ask.value;
        let active = Active::new(&options, &Handle::current(), APART, Turn::Ask(ask));
        Self { options, value, active }
    }

    pub(in crate::lock) fn value(&self) -> LockValue {
        self.value
    }

    /// It was granted to a request that was sent then. `None` if the answer came when the lease was nearly over.
    pub(in crate::lock) fn granted(mut self, sent: Moment, token: Option<FencingToken>) -> Option<Claim> {
        let until = sent + validity(self.options.ttl);
        if let Some(token) = token {
            self.options.home.proposals().saw(token);
        }
        if !is_long(until - clock::moment(), self.options.ttl) {
            return None;
        }
        self.active.turn = Some(Turn::Hold(Tenure::new(self.value, until, self.options.ttl, token, 0)));
        Some(hold(self.options, self.active))
    }

    /// It was refused, or never asked for: nothing is to be given back.
    pub(in crate::lock) fn refused(mut self) {
        self.active.turn = None;
    }
}

/// The lock is ours.
fn hold(options: LockBuilder, mut active: Active) -> Claim {
    let now = clock::moment();
    let Some(Turn::Hold(tenure)) = &mut active.turn else { unreachable!("asking ends with the lock") };
    let token = tenure.taken().filter(|_| options.fence);
    let until = tenure.until.min(now + validity(options.ttl));
    let epoch = active.epoch();
    let claim = Claim::new(options, Hold::Remote(Box::new(active)), token, until, now);
    claim.home.gates().holds(claim.lease.key(), epoch, Some(claim.lease.clone()));
    claim
}

/// Waits behind others of this process. Dropped with the turn in hand, it gives it on.
struct Behind<'a> {
    options: &'a LockBuilder,
    runtime: Handle,
    turn: oneshot::Receiver<(u64, Turn)>,
}

impl Behind<'_> {
    async fn wait(mut self, waiting: &Waiting) -> Result<Active, LockError> {
        loop {
            let rest = waiting.left(self.options)?;
            let gates = self.options.home.gates();
            // An extension moves the end, and then it is looked at again.
            let ends = gates.ends(&self.options.key).map_or(LOOK, |end| end - clock::moment());
            tokio::select! {
                biased;
                turn = &mut self.turn => {
                    return Ok(match turn {
                        Ok((epoch, turn)) => Active::new(self.options, &self.runtime, epoch, turn),
                        // Nobody drops those who wait; still, nobody is left out either.
                        Err(_) => Active::new(self.options, &self.runtime, APART, Turn::fresh()),
                    });
                }
                () = clock::sleep(rest.min(ends.clamp(SHORTEST_LOOK, LOOK))) => {
                    if let Some(epoch) = gates.take_over(&self.options.key) {
                        return Ok(Active::new(self.options, &self.runtime, epoch, Turn::fresh()));
                    }
                }
            }
        }
    }
}

impl Drop for Behind<'_> {
    fn drop(&mut self) {
        self.turn.close();
        if let Ok((epoch, turn)) = self.turn.try_recv() {
            drop(Active::new(self.options, &self.runtime, epoch, turn));
        }
    }
}

/// The way of one who asks.
struct Asking<'a> {
    options: &'a LockBuilder,
    master: &'a AnyMaster,
    waiting: &'a Waiting,
}

impl Asking<'_> {
    /// Until the lock is ours; the turn then is to hold it.
    async fn ask(&self, active: &mut Active) -> Result<(), LockError> {
        let options = self.options;
        let mut listens = !self.waiting.is_try() && self.master.is_listening(&options.key).await;
        let mut pause = FIRST_PAUSE;
        loop {
            let Some(Turn::Ask(ask)) = &mut active.turn else { return Ok(()) };
            let held = match self.request(ask, listens).await {
                Ok(Ok(tenure)) => {
                    active.turn = Some(Turn::Hold(tenure));
                    return Ok(());
                }
                Ok(Err(held)) => held,
                // Masters come back: they are asked again while there is time.
                Err(error @ LockError::NoQuorum { .. }) => {
                    let Ok(rest) = self.waiting.left(options) else { return Err(error) };
                    clock::sleep(NO_QUORUM_PAUSE.min(rest)).await;
                    continue;
                }
                Err(error) => return Err(error),
            };
            let rest = self.waiting.left(options)?;
            if !listens {
                let listen = self.master.listen(&options.key);
                listens = clock::within(rest, listen).await.unwrap_or(false);
                if !listens {
                    // Nobody will tell: it is asked again, soon at first.
                    let jittered = pause.mul_f64(0.5 + 0.5 * crate::random::fraction());
                    clock::sleep(jittered.min(rest).min(held.left + Duration::from_millis(1))).await;
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
                continue;
            }
            if let Some(tenure) = self.told(ask, held, rest).await {
                active.turn = Some(Turn::Hold(tenure));
                return Ok(());
            }
        }
    }

    /// Asks once.
    async fn request(&self, ask: &mut Ask, listens: bool) -> Result<Result<Tenure, Held>, LockError> {
        let options = self.options;
        let queue = match (listens, ask.is_known) {
            (false, _) => Queue::Leave,
            (true, false) => Queue::Join,
            (true, true) => Queue::Stay,
        };
        let was_known = ask.is_known;
        if !was_known {
            ask.mint = options.mint(TOKENS);
        }
        if listens && ask.listener.is_none() {
            ask.listener = Some(Listener::new(ask.value));
        }
        let request = Acquire {
            lock: Owned { key: &options.key, value: ask.value, sharing: options.sharing },
            ttl: options.ttl,
            mint: ask.mint,
            queue,
            instead_of: ask.instead_of,
        };
        // Counted from before the first byte leaves: the server cannot have begun earlier.
        let sent = clock::moment();
        ask.is_known = true;
        let answer = self.master.acquire(&request).await.map_err(|source| {
            // There is nothing to give back while the server is down: tasks that tried would heap up.
            ask.is_known = was_known || !source.is_unsent();
            LockError::unasked(options.key.clone(), source)
        });
        match answer? {
            Answer::Granted { token } => {
                let until = sent + validity(options.ttl);
                ask.instead_of = None;
                let is_fenced = !options.fence || token.is_some();
                if !is_fenced || !is_long(until - clock::moment(), options.ttl) {
                    // Queued by somebody who needs no token, or the answer came when the lease was nearly over. Asked
                    // again, what is ours counts as granted.
                    ask.mint = options.mint(TOKENS);
                    let (left, place, at) = (Duration::ZERO, None, MasterTime(0));
                    return Ok(Err(Held { left, place, at }));
                }
                Ok(Ok(self.tenure(ask.value, until, token)))
            }
            Answer::Held(held) => {
                ask.instead_of = None;
                // Without a place in the queue the master has forgotten the value.
                ask.is_known = was_known || held.place.is_some();
                ask.heard = Some((sent, held.at));
                Ok(Err(held))
            }
        }
    }

    /// Waits to be told that the lock is ours. `None`: it is to be asked for again.
    async fn told(&self, ask: &Ask, held: Held, rest: Duration) -> Option<Tenure> {
        let listener = ask.listener.as_ref()?;
        // It may have come before the answer.
        let mut push = listener.take();
        if push.is_none() {
            tokio::select! {
                () = listener.come() => {}
                () = clock::sleep(look_again(held.left, held.place.unwrap_or(1)).min(rest)) => {}
            }
            push = listener.take();
        }
        let push = push?;
        let until = granted_after(ask.heard?, push)? + validity(CLAIM.min(self.options.ttl));
        let enough = is_long(until - clock::moment(), self.options.ttl);
        let fenced = !self.options.fence || push.token.is_some();
        // Who was handed a lock to share it says so: only then are others let in.
        let alone = self.options.sharing != Sharing::Shared;
        (enough && fenced && alone).then(|| self.tenure(ask.value, until, push.token))
    }

    fn tenure(&self, value: LockValue, until: Moment, token: Option<FencingToken>) -> Tenure {
        if let Some(token) = token {
            self.options.home.proposals().saw(token.after(TOKENS));
        }
        let waiters = self.options.home.gates().waiters(&self.options.key);
        Tenure::new(value, until, self.options.ttl, token, waiters)
    }
}

/// A time that cannot be later than when the lock was handed over: the server counts how much later that was than what was
/// `heard`, that the lock was another's at a time of its own, in answer to a request of ours that was sent at a known time. Its
/// clock may be slow or fast by a hundredth, and nothing happens later than now.
///
/// `None` for what was handed over before that answer, and told late: it had ended by then.
fn granted_after((sent, at): (Moment, MasterTime), push: Push) -> Option<Moment> {
    let later = push.at.since(at)?;
    Some((sent + later.mul_f64(0.99)).min(clock::moment()))
}

/// The pauses of who is not told.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
/// The pause before masters are asked again of which too few took part.
const NO_QUORUM_PAUSE: Duration = Duration::from_millis(50);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_handed_over_before_it_was_anothers_counts_no_more() {
        let (sent, at) = (clock::moment() + Duration::from_secs(60), MasterTime(1_000_000));
        let told = |micros| granted_after((sent, at), Push { at: MasterTime(micros), token: None });
        assert_eq!(told(900_000), None, "told late");
        assert_eq!(told(1_000_000), None, "nobody knows which came first");
        assert!(
            told(1_000_001).is_some_and(|moment| moment <= clock::moment()),
            "nothing happens later than now"
        );
        let earlier = clock::moment();
        let told = granted_after((earlier, at), Push { at: MasterTime(1_000_100), token: None });
        assert!(told.is_some_and(|moment| moment >= earlier));
    }
}
