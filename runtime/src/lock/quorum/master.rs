//! What the quorum asks of one master. Real servers, and simulated ones in tests, answer it.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use crate::error::Result;
use crate::key::Key;
use crate::lock::sharing::Sharing;
use crate::lock::value::LockValue;

/// A fencing token. Below 2^53, so that a server's scripts count it exactly.
pub(crate) type Token = u64;

/// Which start of a server it is: changes whenever its process begins anew.
pub(crate) type RunId = Arc<str>;

/// One acquisition, as every master is asked for it.
#[derive(Debug)]
pub(crate) struct Ask {
    pub(crate) key: Key,
    pub(crate) value: LockValue,
    pub(crate) sharing: Sharing,
    pub(crate) ttl: Duration,
    /// How many fencing tokens are wanted, in a row; 0 for none.
    pub(crate) tokens: u64,
}

/// What an acquisition came to on one master.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Acquired {
    /// The key holds our value.
    Granted {
        /// The master's counter after the grant: the last of the tokens.
        counter: Token,
        /// The run for which the master was admitted to vote.
        admitted: RunId,
    },
    /// Somebody else's value is there.
    Held { left: Duration },
    /// The master has no ledger: it has lost everything, or is new. Nothing was set.
    Unlisted,
}

/// What an extension came to on one master.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extended {
    /// Our value was there, with so much of its life left.
    Kept { left: Duration },
    /// The key was free, and holds our value again.
    Repaired,
    /// Somebody else's value is there.
    Held,
}

/// What a change came to that only the holder of the key may make.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Owned {
    Done,
    NotOurs,
}

/// What a master that may vote remembers of a namespace, apart from single locks, for ever.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ledger {
    /// For which run it was admitted.
    pub(crate) run: RunId,
    /// The highest token that it has given or was raised to.
    pub(crate) high: Token,
    /// The longest life of a key that it has granted.
    pub(crate) longest: Duration,
}

/// A look at a master's ledger.
#[derive(Debug, Clone)]
pub(crate) struct Look {
    /// The run that answered.
    pub(crate) run: RunId,
    /// For how long it runs at least.
    pub(crate) uptime: Duration,
    pub(crate) ledger: Option<Ledger>,
}

/// One of several independent masters.
///
/// Futures may be dropped at any await, and then have had their effect or not, now or later.
pub(crate) trait Master: Send + Sync + 'static {
    /// Its address, for people.
    fn name(&self) -> &str;

    /// Whether that is the run of the server behind the connection of today. Whatever was answered before this is asked was
    /// answered by the run of today or by an earlier one.
    fn is_run(&self, run: &RunId) -> bool;

    /// Sets the key if it is free or holds our value already, and counts the tokens from one more than the counter, or from
    /// `proposal` if that is more.
    fn acquire(&self, ask: &Ask, proposal: Token) -> impl Future<Output = Result<Acquired>> + Send;

    /// Prolongs the key. A free one is set again, and its counter raised to `token`.
    fn extend(&self, ask: &Ask, token: Token) -> impl Future<Output = Result<Extended>> + Send;

    /// Raises the counter to `token` while the key holds our value.
    fn raise(&self, ask: &Ask, token: Token) -> impl Future<Output = Result<Owned>> + Send;

    /// Frees the key if it holds our value.
    fn release(&self, ask: &Ask) -> impl Future<Output = Result<Owned>> + Send;

    /// Reads the ledger.
    fn look(&self) -> impl Future<Output = Result<Look>> + Send;

    /// Writes the ledger, from which counters go on at `ledger.high`, if the server is the run that it names and has the
    /// ledger of that earlier `run`, or none.
    fn admit(&self, ledger: &Ledger, over: Option<&RunId>) -> impl Future<Output = Result<Owned>> + Send;
}
