//! Locks of other kinds than one holder of one key, and latches: what each promises, on Redis and on the embedded store alike.

mod attribute;
mod cancel;
mod crash;
mod latch;
mod masters;
mod quorum;
mod read_write;
mod scope;
mod semaphore;
mod several;

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
