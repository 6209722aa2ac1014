//! Locks: alone, with a token, in a queue, kept by the thousand.

mod contended;

mod queue;
mod renewal;
mod uncontended;

pub(crate) use queue::child;

use crate::contestants::{Bare, Ours};
use crate::server::Server;

pub(crate) async fn run(server: &Server, bare: &Bare, ours: &Ours, embedded: &Ours) {
    uncontended::run(bare, ours, embedded).await;

    contended::run().await;
    renewal::run(server).await;
}
