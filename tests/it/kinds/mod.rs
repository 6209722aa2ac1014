//! Locks of other kinds than one holder of one key, and latches: what each promises, on Redis and on the embedded store alike.

mod attribute;
mod cancel;
mod crash;
mod latch;
mod quorum;
mod read_write;
mod scope;
mod semaphore;
mod several;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use keylatch::Keylatch;

use crate::support::{RedisServer, keylatch};

/// Longer than any test takes.
const LONG: Duration = Duration::from_secs(30);

/// Where locks can be. Both of a pair see the same ones, on Redis as two processes would.
fn places(server: &RedisServer) -> [(Keylatch, Keylatch); 2] {
    let embedded = Keylatch::in_memory();
    [(keylatch(server), keylatch(server)), (embedded.clone(), embedded)]
}

/// How many are inside, how many ever were at once, and how often somebody came.
#[derive(Debug, Default)]
struct Room {
    inside: AtomicU32,
    most: AtomicU32,
    entered: AtomicU32,
}

impl Room {
    async fn visit(&self, stay: impl Future<Output = ()>) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.entered.fetch_add(1, Ordering::SeqCst);
        // Also when the stay is given up.
        let _leaves = Leaves(self);
        stay.await;
    }

    fn inside(&self) -> u32 {
        self.inside.load(Ordering::SeqCst)
    }

    fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }

    fn entered(&self) -> u32 {
        self.entered.load(Ordering::SeqCst)
    }
}

struct Leaves<'a>(&'a Room);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}
