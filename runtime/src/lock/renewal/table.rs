//! The locks that this process holds, and when each is to be extended.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::Duration;

use slab::Slab;
use tokio::runtime::{self, Handle};
use tokio::sync::Notify;

use super::driver;
use super::thread::RenewalThread;
use crate::Keylatch;
use crate::clock::Moment;
use crate::key::Key;
use crate::lock::lease::Lease;
use crate::lock::options::validity;
use crate::lock::sync;
use crate::lock::value::LockValue;
use crate::telemetry;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Renewals {
    table: Mutex<Table>,
    thread: OnceLock<RenewalThread>,
}

#[derive(Debug, Default)]
struct Table {
    locks: Slab<Entry>,
    drivers: Vec<Driver>,
}

/// The task that sees to the locks that were taken on its runtime.
#[derive(Debug)]
struct Driver {
    runtime: runtime::Id,
    /// When it looks again, unless it is woken.
    next: Moment,
    wake: Arc<Notify>,
}

#[derive(Debug)]
struct Entry {
    kept: Kept,
    runtime: Option<runtime::Id>,
    /// When it is extended next; never once it is being released, or if it is not to be.
    due: Option<Moment>,
    again: bool,
    give_up_at: Option<Moment>,
}

/// What is extended.
#[derive(Debug, Clone)]
pub(in crate::lock) struct Kept {
    pub(in crate::lock) lease: Lease,
    pub(in crate::lock) value: LockValue,
    pub(in crate::lock) ttl: Duration,
}

/// For how long a lock is extended.
#[derive(Debug, Clone, Copy)]
pub(in crate::lock) struct Extended {
    /// Again and again, not only once where it was handed over for a moment.
    pub(in crate::lock) again: bool,
    pub(in crate::lock) max_hold: Option<Duration>,
}

/// One lock that may be held; dropped when it is known to be free, or to end by itself.
#[derive(Debug)]
pub(in crate::lock) struct Registered {
    home: Keylatch,
    index: usize,
    woke_driver: bool,
}

/// What a look at the table came to.
pub(super) struct Tick {
    pub(super) due: Vec<(usize, Kept)>,
    pub(super) next: Moment,
}

impl Entry {
    /// When an extension that goes unanswered is tried again: several times before the deadline, which may be near, for a lock
    /// is handed over for a moment.
    fn again_after(&self, now: Moment) -> Duration {
        const OFTEN: Duration = Duration::from_millis(10);
        let left = self.kept.lease.deadline() - now;
        (self.kept.ttl / 10).min((left / 4).max(OFTEN)).max(Duration::from_millis(1))
    }

    /// When it must be looked at.
    fn next(&self) -> Moment {
        let deadline = self.kept.lease.deadline();
        let before = |moment: Moment, limit: Option<Moment>| limit.map_or(moment, |limit| limit.min(moment));
        before(before(deadline, self.due), self.give_up_at)
    }
}

impl Renewals {
    /// From now on locks are extended by that thread.
    pub(crate) fn move_to(&self, thread: RenewalThread) {
        let _second = self.thread.set(thread);
    }

    /// The thread that extends locks, if there is one apart from the runtimes that take them.
    pub(super) fn thread(&self) -> Option<&RenewalThread> {
        self.thread.get()
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        sync::lock(&self.table)
    }

    /// Ends the validity of every lock: bodies are stopped at their next await, guards told, and each gives its lock back.
    pub(crate) fn give_up_all(&self) {
        let leases: Vec<Lease> =
            self.table().locks.iter().map(|(_, entry)| entry.kept.lease.clone()).collect();
        for lease in leases {
            lease.lose();
        }
    }

    /// Those that are not free yet.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.table().locks.iter().map(|(_, entry)| entry.kept.lease.key().clone()).collect()
    }

    /// What is to be done by the driver of that runtime, and when it is to look again; `None` if there is nothing to see to
    /// any more, and then there is no driver.
    pub(super) fn tick(&self, runtime: runtime::Id, now: Moment) -> Option<Tick> {
        let mut table = self.table();
        let Table { locks, drivers } = &mut *table;
        let mut due = Vec::new();
        let mut next = None;
        for (index, entry) in locks.iter_mut().filter(|(_, entry)| entry.runtime == Some(runtime)) {
            if entry.kept.lease.has_ended() {
                continue;
            }
            if entry.give_up_at.is_some_and(|limit| limit <= now) || entry.kept.lease.deadline() <= now {
                if entry.kept.lease.lose() {
                    telemetry::lock_lost(entry.kept.lease.key());
                }
                continue;
            }
            // A little early, so that locks that are due about the same time travel together.
            if entry.due.is_some_and(|at| at <= now + entry.kept.ttl / 12) {
                due.push((index, entry.kept.clone()));
                entry.due = Some(now + entry.again_after(now));
            }
            let at = entry.next();
            next = Some(next.map_or(at, |next: Moment| next.min(at)));
        }
        let Some(next) = next else {
            drivers.retain(|driver| driver.runtime != runtime);
            return None;
        };
        if let Some(driver) = drivers.iter_mut().find(|driver| driver.runtime == runtime) {
            driver.next = next;
        }
        Some(Tick { due, next })
    }

    /// A lock was extended by a request that was sent then.
    pub(super) fn extended(&self, index: usize, kept: &Kept, sent: Moment) {
        let mut table = self.table();
        let entry = table.locks.get_mut(index).filter(|entry| entry.kept.value == kept.value);
        let Some(entry) = entry.filter(|entry| entry.due.is_some()) else { return };
        telemetry::lock_extended(kept.lease.key(), kept.lease.remaining());
        kept.lease.extend(sent + validity(kept.ttl));
        entry.due = entry.again.then(|| sent + kept.ttl / 3);
    }

    /// The driver is gone, with its runtime perhaps.
    pub(super) fn gone(&self, runtime: runtime::Id) {
        self.table().drivers.retain(|driver| driver.runtime != runtime);
    }
}

impl Registered {
    /// A lock that was just had until its lease's deadline. It is extended from the current runtime, unless by a thread.
    pub(in crate::lock) fn new(home: &Keylatch, extended: Extended, kept: Kept, now: Moment) -> Self {
        let life = kept.lease.deadline() - now;
        // What was handed over ends soon, also if it is not to be extended: it is, once.
        let short = life < validity(kept.ttl).mul_f64(0.6);
        let due = match (extended.again, short) {
            (true, false) => Some(now + kept.ttl / 3),
            (true, true) => Some(now + life / 3),
            (false, true) => Some(now),
            (false, false) => None,
        };
        let give_up_at = extended.max_hold.map(|limit| now + limit);
        let thread = home.renewals().thread();
        let current = thread.map(|thread| thread.runtime().clone()).or_else(|| Handle::try_current().ok());
        let runtime = current.as_ref().map(Handle::id);
        let entry = Entry { kept, runtime, due, again: extended.again, give_up_at };
        let next = entry.next();
        let mut table = home.renewals().table();
        let index = table.locks.insert(entry);
        let mut woke_driver = true;
        if let Some(current) = current {
            let known = table.drivers.iter_mut().find(|driver| Some(driver.runtime) == runtime);
            match known {
                Some(driver) if driver.next <= next => woke_driver = false,
                Some(driver) => {
                    driver.next = next;
                    driver.wake.notify_one();
                }
                None => {
                    let driver = Driver { runtime: current.id(), next, wake: Arc::default() };
                    current.spawn(driver::drive(home.downgrade(), driver.runtime, Arc::clone(&driver.wake)));
                    table.drivers.push(driver);
                }
            }
        }
        Self { home: home.clone(), index, woke_driver }
    }

    /// Whether the driver has yet to look at this lock, as the next task of the current thread, which no other thread takes
    /// over: a body that blocks would keep it from running, and so all locks from being extended.
    pub(in crate::lock) fn woke_driver(&mut self) -> bool {
        std::mem::take(&mut self.woke_driver)
    }

    /// From now on the lock is not extended.
    pub(in crate::lock) fn retire(&self) {
        if let Some(entry) = self.home.renewals().table().locks.get_mut(self.index) {
            entry.due = None;
            entry.kept.lease.lose();
        }
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.home.renewals().table().locks.try_remove(self.index);
    }
}

impl Driver {
    #[cfg(test)]
    fn is_of(&self, runtime: &Handle) -> bool {
        self.runtime == runtime.id()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock;
    use crate::lock::Sharing;

    fn lock(home: &Keylatch, ttl: Duration) -> (Lease, Registered) {
        held_for(home, ttl, validity(ttl))
    }

    fn held_for(home: &Keylatch, ttl: Duration, life: Duration) -> (Lease, Registered) {
        let now = clock::moment();
        let lease = Lease::new(home, Key::of("test"), Sharing::Alone);
        lease.begin(now + life);
        let kept = Kept { lease: lease.clone(), value: LockValue::new(), ttl };
        (lease, Registered::new(home, Extended { again: true, max_hold: None }, kept, now))
    }

    #[tokio::test(start_paused = true)]
    async fn one_driver_sees_to_all_locks_and_goes_with_the_last() {
        let home = Keylatch::in_memory();
        let drivers = || home.renewals().table().drivers.len();
        let (_, long) = lock(&home, Duration::from_secs(60));
        let (lost, short) = lock(&home, Duration::from_secs(1));
        assert_eq!(drivers(), 1);
        assert!(home.renewals().table().drivers[0].is_of(&Handle::current()));
        // Nobody has that lock at the master.
        clock::sleep(Duration::from_millis(500)).await;
        assert!(lost.has_ended());
        drop((long, short));
        clock::sleep(Duration::from_secs(30)).await;
        assert_eq!(drivers(), 0);
    }

    /// The first extension of a lock that was handed over, and is held for half a second until then, goes unanswered.
    #[tokio::test(start_paused = true)]
    async fn what_is_held_for_a_moment_is_extended_again_before_that_is_over() {
        let home = Keylatch::in_memory();
        let (lease, _registered) = held_for(&home, Duration::from_secs(30), Duration::from_millis(490));
        let mut now = clock::moment();
        let mut tries = 0;
        while now < lease.deadline() {
            let tick = home.renewals().tick(Handle::current().id(), now).expect("it is held");
            tries += tick.due.len();
            now = tick.next;
        }
        assert!((4..30).contains(&tries), "{tries}");
    }
}
