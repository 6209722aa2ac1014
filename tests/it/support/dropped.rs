//! Calls that are given up on their way.

use std::future::{Future, poll_fn};
use std::task::Poll;
use std::time::Duration;

use keylatch::Keylatch;

use super::{RedisServer, until};

/// Polls a call when it is woken, `polls` times, and drops it: at once, or when what it waits for has had time to happen.
/// Whether it was done by then.
pub(crate) async fn dropped_after<F: Future>(call: F, polls: u32, late: bool) -> bool {
    let mut call = Box::pin(call);
    let mut left = polls;
    let done = poll_fn(|cx| {
        if left == 0 {
            return Poll::Ready(false);
        }
        left -= 1;
        match call.as_mut().poll(cx) {
            Poll::Ready(_) => Poll::Ready(true),
            Poll::Pending if left == 0 => Poll::Ready(false),
            Poll::Pending => Poll::Pending,
        }
    })
    .await;
    if late && !done {
        tokio::time::sleep(Duration::from_millis(3)).await;
    }
    done
}

/// Nothing is left on the server once it has carried out all that was sent before.
pub(crate) async fn nothing_is_left(server: &RedisServer, cache: &Keylatch, what: &str) {
    // Commands of one connection are carried out in their order, so what a dropped call has sent is there by now.
    cache.lock("barrier").run(async |_lease| ()).await.unwrap();
    until(what, || server.key_count() == 0).await;
}
