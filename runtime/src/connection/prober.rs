//! Finds out by tasks of their own whether a server is back, and whether a connection is dead.

use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};
use std::time::Duration;

use super::breaker::Change;
use super::endpoint::Inner;
use crate::error::Result;
use crate::{clock, random};

/// The first and the longest pause between two probes; each is shortened by chance to as little as half.
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// If the breaker has just opened, starts to probe.
pub(super) fn after(endpoint: &Arc<Inner>, change: Change) {
    if change == Change::Opened {
        endpoint.trouble();
        ensure(endpoint);
    }
}

/// Sees to it that a task probes the server until its breaker closes. A task may have gone with its runtime.
pub(super) fn ensure(endpoint: &Arc<Inner>) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    if endpoint.probing.swap(true, Ordering::AcqRel) {
        return;
    }
    let turn = Turn(Arc::downgrade(endpoint));
    runtime.spawn(async move {
        let mut pause = FIRST_PAUSE;
        loop {
            clock::sleep(pause.mul_f64(0.5 + random::fraction() / 2.0)).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
            // Nobody needs the server any more.
            let Some(endpoint) = turn.0.upgrade() else { return };
            if endpoint.breaker.is_closed() {
                return;
            }
            endpoint.breaker.half_open();
            match probe(&endpoint).await {
                Ok(()) => {
                    endpoint.breaker.close(endpoint.answered());
                    return endpoint.suspects().for_each(|index| check(&endpoint, index));
                }
                Err(error) => {
                    endpoint.breaker.reopen(error);
                    // Another server may have taken over meanwhile.
                    endpoint.trouble();
                }
            }
        }
    });
}

/// One probe, however long it takes: a dial may. Whether another server has taken over is looked at meanwhile.
async fn probe(endpoint: &Arc<Inner>) -> Result<()> {
    let mut probing = pin!(endpoint.probe());
    loop {
        tokio::select! {
            probed = &mut probing => return probed,
            () = clock::sleep(LONGEST_PAUSE) => endpoint.trouble(),
        }
    }
}

/// The task that probes. However it ends, another one may begin.
struct Turn(Weak<Inner>);

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(endpoint) = self.0.upgrade() {
            endpoint.probing.store(false, Ordering::Release);
        }
    }
}

/// Checks one connection over which nothing came for a while, though others work.
pub(super) fn check(endpoint: &Arc<Inner>, index: usize) {
    let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
    let endpoint = Arc::clone(endpoint);
    runtime.spawn(async move {
        // A failure has been drawn its conclusions from: the connection is gone, and is dialled anew when it is needed.
        let _ = endpoint.ping(index).await;
    });
}
