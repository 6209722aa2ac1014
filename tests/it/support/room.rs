//! A room that a lock guards: how many are inside tells whether it does.

use std::future::Future;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many are inside, how many ever were at once, and how often somebody came.
#[derive(Debug, Default)]
pub(crate) struct Room {
    inside: AtomicU32,
    most: AtomicU32,
    entered: AtomicU32,
}

impl Room {
    /// Comes in, stays, and leaves, also if the stay is given up.
    pub(crate) async fn visit(&self, stay: impl Future<Output = ()>) {
        let inside = self.inside.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(inside, Ordering::SeqCst);
        self.entered.fetch_add(1, Ordering::SeqCst);
        // Also when the stay is given up.
        let _leaves = Leaves(self);
        stay.await;
    }

    pub(crate) fn inside(&self) -> u32 {
        self.inside.load(Ordering::SeqCst)
    }

    pub(crate) fn most(&self) -> u32 {
        self.most.load(Ordering::SeqCst)
    }

    pub(crate) fn entered(&self) -> u32 {
        self.entered.load(Ordering::SeqCst)
    }
}

struct Leaves<'a>(&'a Room);

impl Drop for Leaves<'_> {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::SeqCst);
    }
}
