//! The table of renewals: nothing is extended once its release has begun.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use shuttle::thread;

use super::{Extended, Kept, Registered};
use crate::Keylatch;
use crate::clock::{self, Moment};
use crate::key::Key;
use crate::lock::Sharing;
use crate::lock::explored::{explore, must_fail, runtime, turn};
use crate::lock::lease::Lease;
use crate::lock::options::validity;
use crate::lock::value::LockValue;

/// How an answer is taken note of.
type Note = fn(&Keylatch, usize, &Kept, Moment);

fn properly(home: &Keylatch, index: usize, kept: &Kept, sent: Moment) {
    home.renewals().extended(index, kept, sent);
}

/// The mutant: without a look at whether the lock is still held.
fn blindly(_home: &Keylatch, _index: usize, kept: &Kept, sent: Moment) {
    kept.lease.begin(sent + validity(kept.ttl));
}

/// Locks that come and go, in the same places of the table, while drivers extend what is there.
fn schedule(note: Note) {
    let runtime = runtime();
    let entered = runtime.enter();
    let id = tokio::runtime::Handle::current().id();
    let home = Keylatch::in_memory();
    let released: Arc<Mutex<HashSet<LockValue>>> = Arc::default();
    let mut threads = Vec::new();
    for _ in 0..2 {
        let (home, released) = (home.clone(), Arc::clone(&released));
        threads.push(thread::spawn(move || {
            for _ in 0..3 {
                let before: HashSet<LockValue> = released.lock().unwrap().clone();
                let now = clock::moment();
                // All are due: it is a third of the shortest time later.
                let Some(tick) = home.renewals().tick(id, now + Duration::from_secs(10)) else { continue };
                for (index, kept) in tick.due {
                    assert!(!before.contains(&kept.value), "asked for after its release");
                    turn();
                    note(&home, index, &kept, now);
                }
            }
        }));
    }
    for ttl in [30, 300] {
        let (home, released) = (home.clone(), Arc::clone(&released));
        threads.push(thread::spawn(move || {
            let ttl = Duration::from_secs(ttl);
            for _ in 0..2 {
                let (now, value) = (clock::moment(), LockValue::new());
                let lease = Lease::new(&home, Key::of("explored"), Sharing::Alone);
                lease.begin(now + validity(ttl));
                let kept = Kept { lease: lease.clone(), value, ttl };
                let registered = Registered::new(&home, Extended { again: true, max_hold: None }, kept, now);
                turn();
                // Nobody else's life: the other's place in the table may have become this one's.
                assert!(lease.deadline() <= clock::moment() + validity(ttl), "extended by another's answer");
                registered.retire();
                released.lock().unwrap().insert(value);
                turn();
                assert!(lease.has_ended(), "extended after its release began");
                drop(registered);
                turn();
                assert!(lease.has_ended(), "extended after its release");
            }
        }));
    }
    for thread in threads {
        thread.join().expect("it does not panic");
    }
    assert!(home.renewals().keys().is_empty(), "something is left in the table");
    drop(entered);
}

#[test]
fn nothing_is_extended_once_its_release_has_begun() {
    explore(|| schedule(properly));
}

#[test]
fn an_answer_that_is_noted_blindly_is_found_out() {
    must_fail(|| schedule(blindly));
}
