//! The gate where callers of one process stand: whoever waits has his turn, also when others give up in the very moment in which
//! it is theirs; and nobody holds the lock beside another.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use futures_util::future::{Either, select};
use shuttle::future::{block_on, spawn, yield_now};
use shuttle::rand::{Rng, thread_rng};

use super::acquire::at_the_gate;
use super::gate::{Entered, Wants};
use crate::Keylatch;
use crate::lock::explored::{explore, must_fail, runtime};
use crate::lock::options::LockBuilder;

/// What somebody does who wants the lock.
#[derive(Debug, Clone, Copy)]
enum Caller {
    /// Waits, and gives it back.
    Patient,
    /// Waits, and drops it.
    Careless,
    /// Gives up at some moment.
    Impatient,
    /// The mutant: gives up without a look at whether it is his turn already.
    Forgetful,
}

#[derive(Debug, Default)]
struct Room {
    inside: AtomicU32,
}

impl Room {
    async fn visit(&self) {
        assert_eq!(self.inside.fetch_add(1, Ordering::SeqCst), 0, "two hold the lock");
        yield_now().await;
        self.inside.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn some_turns() {
    for _ in 0..thread_rng().gen_range(0..12) {
        yield_now().await;
    }
}

async fn call(home: Keylatch, room: Arc<Room>, caller: Caller) {
    let lock = || home.lock("explored").wait(Duration::from_secs(3_600));
    match caller {
        Caller::Patient => {
            let claim = at_the_gate(lock()).await.expect("its turn comes");
            room.visit().await;
            claim.release().await.expect("it is held");
        }
        Caller::Careless => {
            let claim = at_the_gate(lock()).await.expect("its turn comes");
            room.visit().await;
            drop(claim);
        }
        Caller::Impatient => {
            let asked = Box::pin(at_the_gate(lock()));
            if let Either::Left((claim, _)) = select(asked, Box::pin(some_turns())).await {
                let claim = claim.expect("its turn comes");
                room.visit().await;
                claim.release().await.expect("it is held");
            }
        }
        Caller::Forgetful => {
            let LockBuilder { key, ttl, fence, .. } = lock();
            match home.gates().enter(&key, Some(Wants { ttl, fence })) {
                Entered::First(epoch) => home.gates().leave(&key, epoch),
                Entered::Behind(turn) => {
                    some_turns().await;
                    drop(turn);
                }
                Entered::Refused => unreachable!("it waits"),
            }
        }
    }
}

/// This master tells nobody that a lock is free: whoever asks it asks again, 200 ms later at most. Those who stand at the gate
/// look for themselves after a second, as against lost messages, and that is not to be needed.
const SOON: Duration = Duration::from_millis(900);

/// All of them at once. What they leave to the runtime is done in between.
fn schedule(callers: &'static [Caller]) {
    let runtime = runtime();
    let entered = runtime.enter();
    let home = Keylatch::in_memory();
    let room = Arc::new(Room::default());
    let is_over = Arc::new(AtomicBool::new(false));
    let tasks: Vec<_> =
        callers.iter().map(|caller| spawn(call(home.clone(), Arc::clone(&room), *caller))).collect();
    let ended = {
        let is_over = Arc::clone(&is_over);
        shuttle::thread::spawn(move || {
            for task in tasks {
                block_on(task).expect("it does not panic");
            }
            is_over.store(true, Ordering::SeqCst);
        })
    };
    let mut passed = Duration::ZERO;
    while !is_over.load(Ordering::SeqCst) {
        runtime.block_on(async {
            if passed < SOON {
                passed += Duration::from_millis(1);
                tokio::time::advance(Duration::from_millis(1)).await;
            }
            tokio::task::yield_now().await;
        });
        shuttle::thread::yield_now();
    }
    ended.join().expect("it does not panic");
    drop(entered);
}

#[test]
fn everybody_has_his_turn_and_nobody_beside_another() {
    use Caller::{Careless, Impatient, Patient};
    explore(|| schedule(&[Patient, Impatient, Careless, Impatient, Patient]));
}

#[test]
fn one_who_forgets_his_turn_is_found_out() {
    use Caller::{Forgetful, Patient};
    must_fail(|| schedule(&[Patient, Forgetful, Patient]));
}
