//! What awaiting the handle does: looks at the memory of the process, at the slot, and only then at everything else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Call, POLLED, Shape};
use crate::cache::flow::Task;
use crate::cache::glance::{Glance, Glimpse};
use crate::cache::session::First;
use crate::codec::envelope::Envelope;

/// How far a call has come.
pub(super) enum Progress<F> {
    Idle,
    /// One read, by which most calls are answered.
    Looking(Glance),
    /// On the heap: what most calls do not need would make each of them large.
    Running(Pin<Box<F>>),
}

impl<P, V, B, T, F: Future> Future for Call<P, V, B, Shape<P, T, V, B, F>, F> {
    type Output = F::Output;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<F::Output> {
        let Self { task, progress, shape } = self.get_mut();
        loop {
            let first = match progress {
                Progress::Idle => {
                    let task = task.as_ref().expect(POLLED);
                    if let Some(value) = shape.at_hand(task) {
                        task.plan.function.hit_at_hand(&task.plan.key);
                        return Poll::Ready((shape.from_value)(value));
                    }
                    if let Some(glance) = Some(&task.plan).filter(|_| shape.ageless).and_then(Glance::at) {
                        *progress = Progress::Looking(glance);
                        continue;
                    }
                    None
                }
                Progress::Looking(glance) => {
                    let task = task.as_ref().expect(POLLED);
                    match ready!(shape.look(task, glance, cx)) {
                        Looked::Found(value) => return Poll::Ready((shape.from_value)(value)),
                        Looked::Else(first) => first,
                    }
                }
                Progress::Running(flow) => return flow.as_mut().poll(cx),
            };
            let task = task.take().expect(POLLED);
            *progress = Progress::Running(Box::pin((shape.start)(task, shape.keeper, first)));
        }
    }
}

/// What a look came to.
enum Looked<T> {
    Found(T),
    Else(Option<First>),
}

impl<P, T, V, B, F: Future> Shape<P, T, V, B, F> {
    /// What is in the memory of the process.
    pub(super) fn at_hand(&self, task: &Task<P, V, B>) -> Option<T> {
        self.keeper?.find(&task.plan, task.expected())
    }

    fn look(&self, task: &Task<P, V, B>, glance: &mut Glance, cx: &mut Context<'_>) -> Poll<Looked<T>> {
        let (expected, mut value) = (task.expected(), None);
        let mut restore = |envelope: &Envelope<'_>| {
            value = (self.restore)(&task.codec, envelope).ok();
            value.is_some()
        };
        let glimpse = ready!(glance.poll(&task.plan, expected, &mut restore, cx));
        Poll::Ready(match (glimpse, value) {
            (Glimpse::Hit(kept), Some(value)) => {
                if let (Some(keeper), Some((keep, entry))) = (self.keeper, kept) {
                    keeper.keep(&task.plan, expected, keep, &entry, &value);
                }
                Looked::Found(value)
            }
            (Glimpse::Else(first), _) => Looked::Else(first),
            (Glimpse::Hit(_), None) => unreachable!("a hit has been restored"),
        })
    }
}
