//! The scripts of locks over several masters.

use super::Lua;

/// See the module.
#[derive(Debug)]
pub(crate) struct QuorumScripts {
    /// Takes a lock on this master, and counts its tokens.
    pub(crate) acquire: Lua,
    /// Prolongs a lock, and sets it again where it is free.
    pub(crate) extend: Lua,
    /// Lifts the counter of tokens while the lock is held.
    pub(crate) raise: Lua,
    /// Frees a lock.
    pub(crate) release: Lua,
    /// Reads the ledger, and who the server is.
    pub(crate) look: Lua,
    /// Writes the ledger.
    pub(crate) admit: Lua,
}

macro_rules! raising {
    ($name:literal) => {
        Lua::new(concat!(include_str!("quorum/raise.lua"), include_str!($name)))
    };
}

impl QuorumScripts {
    pub(crate) fn new() -> Self {
        Self {
            acquire: Lua::new(include_str!("quorum/acquire.lua")),
            extend: raising!("quorum/extend.lua"),
            raise: raising!("quorum/raise_held.lua"),
            release: Lua::new(include_str!("release.lua")),
            look: Lua::new(include_str!("quorum/look.lua")),
            admit: Lua::new(include_str!("quorum/admit.lua")),
        }
    }
}
