//! Claims and fills that travel together: those of callers who load at the same time, each in one pipeline.
//!
//! Each stands for itself, and is answered for itself. Large values travel alone, for all of a pipeline must be written before
//! any of it is answered.

use redis::{Cmd, Value};

use crate::connection::{Connection, Route, Server, Together};
use crate::error::Result;

/// Bytes of a value above which it travels alone.
const LARGE: usize = 8 << 10;

/// Sends writes of single slots to one server.
#[derive(Debug)]
pub(super) struct Writes {
    connection: Connection,
    claims: Together,
    fills: Together,
    merges: bool,
}

impl Writes {
    pub(super) fn new(connection: &Connection) -> Self {
        #[cfg(feature = "upstash")]
        let is_text = connection.is_text();
        #[cfg(not(feature = "upstash"))]
        let is_text = false;
        Self {
            connection: connection.clone(),
            claims: Together::new(connection, "claim", Server::Familiar),
            fills: Together::new(connection, "fill", Server::Any),
            merges: connection.limits().merge_reads && !connection.is_cluster() && !is_text,
        }
    }

    /// Sends the claim of a slot, with others or by itself.
    pub(super) async fn claim(&self, cmd: Cmd, route: Route<'_>) -> Result<Value> {
        if self.merges {
            return self.claims.send(cmd).await;
        }
        self.connection.command("claim", route, &cmd).await
    }

    /// Whether a fill of so many bytes travels with others.
    pub(super) fn merges_fill(&self, bytes: usize) -> bool {
        self.merges && bytes <= LARGE
    }

    /// Sends such a fill.
    pub(super) async fn fill(&self, cmd: Cmd) -> Result<Value> {
        self.fills.send(cmd).await
    }
}
