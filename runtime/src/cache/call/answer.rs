//! What awaiting the handle does: looks at the memory of the process, at the slot, and only then at everything else.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use super::{Call, POLLED};
use crate::cache::flow::restored;
use crate::cache::glance::{Glance, Glimpse};
use crate::cache::outcome::Outcome;
use crate::cache::session::First;
use crate::codec::envelope::Envelope;

/// How far a call has come.
pub(super) enum Progress<F> {
    Idle,
    /// One read, by which most calls of the store are answered. On the heap, as is the rest: what a hit in memory does not
    /// need would make it large.
    Looking(Box<Glance>),
    Running(Pin<Box<F>>),
}

impl<S, T: Outcome<S>, V, B, F: Future<Output = T>> Future for Call<S, T, V, B, F> {
    type Output = T;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<T> {
        loop {
            let first = match &mut self.progress {
                Progress::Idle => {
                    if let Some(value) = self.at_hand() {
                        let plan = &self.task().plan;
                        plan.function.hit_at_hand(&plan.key);
                        return Poll::Ready(T::from_value(value));
                    }
                    let plan = &self.task().plan;
                    // One that ages is an answer only as long as it is young enough.
                    if let Some(glance) =
                        Some(plan).filter(|it| it.options.aging.is_none()).and_then(Glance::at)
                    {
                        self.progress = Progress::Looking(Box::new(glance));
                        continue;
                    }
                    None
                }
                Progress::Looking(_) => match ready!(self.look(cx)) {
                    Looked::Found(value) => return Poll::Ready(T::from_value(value)),
                    Looked::Else(first) => first,
                },
                Progress::Running(flow) => return flow.as_mut().poll(cx),
            };
            let task = self.task.take().expect(POLLED);
            self.progress = Progress::Running(Box::pin((self.start)(task, self.keeper, first)));
        }
    }
}

/// What a look came to.
enum Looked<T> {
    Found(T),
    Else(Option<First>),
}

impl<S, T: Outcome<S>, V, B, F> Call<S, T, V, B, F> {
    /// What is in the memory of the process.
    pub(super) fn at_hand(&self) -> Option<T::Value> {
        let task = self.task();
        self.keeper?.find(&task.plan, task.expected())
    }

    fn look(&mut self, cx: &mut Context<'_>) -> Poll<Looked<T::Value>> {
        let Self { task, progress: Progress::Looking(glance), keeper, .. } = self else {
            unreachable!("it is asked only while it looks")
        };
        let task = task.as_ref().expect(POLLED);
        let (expected, mut value) = (task.expected(), None);
        let mut restore = |envelope: &Envelope<'_>| {
            value = restored::<S, T>(&task.codec, envelope).ok();
            value.is_some()
        };
        let glimpse = ready!(glance.poll(&task.plan, expected, &mut restore, cx));
        Poll::Ready(match (glimpse, value) {
            (Glimpse::Hit(kept), Some(value)) => {
                if let (Some(keeper), Some((keep, entry))) = (keeper, kept) {
                    keeper.keep(&task.plan, expected, keep, &entry, &value);
                }
                Looked::Found(value)
            }
            (Glimpse::Else(first), _) => Looked::Else(first),
            (Glimpse::Hit(_), None) => unreachable!("a hit has been restored"),
        })
    }
}
