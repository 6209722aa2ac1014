//! What keeps held locks: a task for each runtime, or one on a thread of its own, extends all locks of an instance, those that are due about now in one
//! request, whether or not their bodies are polled, and declares their loss before anybody else can have them.

mod driver;
#[cfg(test)]
mod explored;
mod table;
mod thread;

pub(crate) use table::Renewals;
pub(crate) use thread::RenewalThread;

pub(super) use table::{Extended, Kept, Registered};
