//! A thread that extends locks, with a runtime and connections of its own: whatever blocks the runtime of the bodies keeps no
//! lock from being extended.

use std::sync::mpsc;
use std::thread;

use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::{Error, ErrorKind, Result};
use crate::lock::master::AnyMaster;

/// See the module. It ends when this is dropped.
#[derive(Debug)]
pub(crate) struct RenewalThread {
    master: AnyMaster,
    runtime: Handle,
    /// Closed by a drop.
    _ended: oneshot::Sender<()>,
}

impl RenewalThread {
    /// Starts it. All it sends goes to `master`, which nothing else may use: connections live on the runtime that dials them.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] if the system has no more threads.
    pub(crate) fn start(master: AnyMaster) -> Result<Self> {
        let failed = |error| Error::new(ErrorKind::Unavailable, "start the thread of locks").because(error);
        let runtime = Builder::new_current_thread().enable_all().build().map_err(failed)?;
        let (ended, end) = oneshot::channel::<()>();
        let (started, start) = mpsc::channel();
        thread::Builder::new()
            .name("keylatch-locks".to_owned())
            .spawn(move || {
                // Nobody listens only if the thread is given up already.
                let _listening = started.send(runtime.handle().clone());
                let _ended = runtime.block_on(end);
            })
            .map_err(failed)?;
        let gone = |error| Error::new(ErrorKind::Unavailable, "start the thread of locks").because(error);
        Ok(Self { master, runtime: start.recv().map_err(gone)?, _ended: ended })
    }

    /// What it asks.
    pub(super) fn master(&self) -> &AnyMaster {
        &self.master
    }

    pub(super) fn runtime(&self) -> &Handle {
        &self.runtime
    }
}
