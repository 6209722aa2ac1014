//! What keeps held locks: a task for each runtime extends all locks of an instance, those that are due about now in one
//! request, whether or not their bodies are polled, and declares their loss before anybody else can have them.

mod driver;
mod table;

pub(crate) use table::Renewals;

pub(super) use table::{Kept, Registered};
