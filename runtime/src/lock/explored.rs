//! D4: schedules of several threads, explored by shuttle: whoever takes a mutex of the gate or of the table of renewals may be
//! overtaken there by anybody else. Tasks are coroutines on one thread, so every schedule is replayed by its seed, and one that
//! waits for ever is found out as such: no timer fires in here.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

use shuttle::scheduler::RandomScheduler;
use shuttle::{Config, MaxSteps, Runner};

/// Schedules of each test.
const SCHEDULES: usize = 2_000;
/// Turns after which nobody comes to an end any more.
const MOST_TURNS: usize = 20_000;

thread_local! {
    static IS_EXPLORED: Cell<bool> = const { Cell::new(false) };
}

/// Somebody else's turn, perhaps.
pub(super) fn turn() {
    if IS_EXPLORED.get() {
        shuttle::thread::yield_now();
    }
}

/// Runs `schedule` in as many orders.
pub(super) fn explore(schedule: impl Fn() + Send + Sync + 'static) {
    struct Explored;
    impl Drop for Explored {
        fn drop(&mut self) {
            IS_EXPLORED.set(false);
        }
    }
    IS_EXPLORED.set(true);
    let _explored = Explored;
    let mut config = Config::new();
    config.max_steps = MaxSteps::FailAfter(MOST_TURNS);
    config.stack_size = 1 << 20;
    Runner::new(RandomScheduler::new(SCHEDULES), config).run(schedule);
}

/// The companion: some order must fail.
pub(super) fn must_fail(schedule: impl Fn() + Send + Sync + 'static) {
    let found = catch_unwind(AssertUnwindSafe(|| explore(schedule)));
    assert!(found.is_err(), "{SCHEDULES} schedules, and nothing was found");
}

/// A runtime to belong to, whose clock stands still and whose tasks run when they are let.
pub(super) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("a runtime")
}
