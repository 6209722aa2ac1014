//! The scripts of locks. What they share stands before those that need it.

use super::Lua;

/// See the module.
#[derive(Debug)]
pub(crate) struct LockScripts {
    /// Takes a lock, or says who has it and queues.
    pub(crate) acquire: Lua,
    /// Frees a lock, or gives it to the first in its queue.
    pub(crate) release: Lua,
    /// Takes and frees a lock while its slot is on its way between two nodes.
    pub(crate) apart: ApartScripts,
    /// Prolongs a lock.
    pub(crate) extend: Lua,
    /// The same for locks that are shared.
    pub(crate) shared: KindScripts,
    /// The same for semaphores.
    pub(crate) permits: KindScripts,
}

/// Scripts that name the lock alone.
#[derive(Debug)]
pub(crate) struct ApartScripts {
    pub(crate) acquire: Lua,
    pub(crate) release: Lua,
}

/// The scripts of one kind of lock; each takes and answers what the one of the plain lock does.
#[derive(Debug)]
pub(crate) struct KindScripts {
    pub(crate) acquire: Lua,
    pub(crate) release: Lua,
    pub(crate) extend: Lua,
}

macro_rules! shared {
    ($short:literal, $name:literal) => {
        Lua::new(concat!(include_str!($short), include_str!("lock/hand_over.lua"), include_str!($name)))
    };
}

macro_rules! kind {
    ($folder:literal) => {
        KindScripts {
            acquire: kind!($folder, "/acquire.lua"),
            release: kind!($folder, "/release.lua"),
            extend: kind!($folder, "/extend.lua"),
        }
    };
    ($folder:literal, $name:literal) => {
        Lua::new(concat!(
            include_str!("lock/hand_over.lua"),
            include_str!(concat!("../lock/", $folder, "/common.lua")),
            include_str!(concat!("../lock/", $folder, $name)),
        ))
    };
}

impl LockScripts {
    pub(crate) fn new() -> Self {
        Self {
            acquire: shared!("lock/acquire_free.lua", "lock/acquire.lua"),
            release: shared!("lock/release_unawaited.lua", "lock/release.lua"),
            apart: ApartScripts {
                acquire: Lua::new(include_str!("lock/acquire_apart.lua")),
                release: Lua::new(include_str!("release.lua")),
            },
            extend: Lua::new(include_str!("lock/extend.lua")),
            shared: kind!("read_write"),
            permits: kind!("semaphore"),
        }
    }

    /// A release that asks nobody, for tests that must notice it.
    pub(crate) fn release_anyones() -> Lua {
        Lua::new("return redis.call('DEL', KEYS[1])")
    }
}
