//! What keeps held locks: extends them in time, and declares their loss before anybody else can have them.

mod held;
mod watchdog;

pub(crate) use held::HeldLocks;

pub(super) use held::Registered;
pub(super) use watchdog::watch;
