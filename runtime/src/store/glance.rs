//! The read of one slot, on the short way of a hit: no future but the one that is awaited.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;

use super::{Via, redis};
use crate::error::Result;

/// A read that was handed in.
pub(crate) enum Glance {
    /// The embedded store has answered already.
    Here(Option<(Bytes, Duration)>),
    Sent(redis::Glance),
}

/// What was seen.
pub(crate) enum Seen {
    Here(Option<(Bytes, Duration)>),
    Came(redis::Seen),
}

impl Future for Glance {
    type Output = Result<Seen>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match self.get_mut() {
            Self::Here(found) => Poll::Ready(Ok(Seen::Here(found.take()))),
            Self::Sent(sent) => Pin::new(sent).poll(cx).map(|seen| seen.map(Seen::Came)),
        }
    }
}

impl Seen {
    /// What the slot held.
    pub(crate) fn value(&self) -> Result<Option<&Bytes>> {
        match self {
            Self::Here(found) => Ok(found.as_ref().map(|(value, _)| value)),
            Self::Came(seen) => seen.value(),
        }
    }

    /// Over what it came. See [`Reading::via`](super::Reading).
    pub(crate) fn via(&self) -> Option<Via> {
        match self {
            Self::Here(_) => Some(Via::EMBEDDED),
            Self::Came(seen) => seen.via(),
        }
    }

    /// What is left of its life, where the store says so.
    pub(crate) fn left(&self) -> Option<Duration> {
        match self {
            Self::Here(found) => found.as_ref().map(|(_, left)| *left),
            Self::Came(_) => None,
        }
    }
}
