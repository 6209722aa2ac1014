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
    /// The same for locks that are shared.
    pub(crate) shared: SharedScripts,
}

/// The scripts of locks that are shared; each takes and answers what the one of the plain lock does.
#[derive(Debug)]
pub(crate) struct SharedScripts {
    pub(crate) acquire: Lua,
    pub(crate) extend: Lua,
    pub(crate) raise: Lua,
    pub(crate) release: Lua,
}

macro_rules! raising {
    ($name:literal) => {
        Lua::new(concat!(include_str!("quorum/raise.lua"), include_str!($name)))
    };
}

macro_rules! sharing {
    ($name:literal) => {
        Lua::new(concat!(
            include_str!("lock/hand_over.lua"),
            include_str!("../lock/read_write/common.lua"),
            include_str!("quorum/raise.lua"),
            include_str!(concat!("../lock/read_write/quorum/", $name)),
        ))
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
            shared: SharedScripts {
                acquire: sharing!("acquire.lua"),
                extend: sharing!("extend.lua"),
                raise: sharing!("raise.lua"),
                release: sharing!("release.lua"),
            },
        }
    }
}
