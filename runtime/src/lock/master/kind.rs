//! Which scripts serve a lock, by who may share it, and what they need beyond what all of them do.

use smallvec::SmallVec;

use super::Owned;
use crate::key::{Key, shared_of, sharing_of};
use crate::lock::sharing::Sharing;
use crate::script::{LockScripts, Lua};

/// See the module.
#[derive(Debug)]
pub(super) struct Kind<'a> {
    pub(super) acquire: &'a Lua,
    pub(super) release: &'a Lua,
    pub(super) extend: &'a Lua,
    /// Those who share it, and those who wait to.
    crowd: Option<[Key; 2]>,
    permits: Option<String>,
}

/// Keys of one script, all in one slot of a cluster.
pub(super) type Keys<'a> = SmallVec<[&'a Key; 5]>;
/// What a script is given beside keys.
pub(super) type Args<'a> = SmallVec<[&'a [u8]; 9]>;

impl<'a> Kind<'a> {
    pub(super) fn of(scripts: &'a LockScripts, lock: Owned<'_>) -> Self {
        match lock.sharing {
            Sharing::Alone => Self {
                acquire: &scripts.acquire,
                release: &scripts.release,
                extend: &scripts.extend,
                crowd: None,
                permits: None,
            },
            Sharing::Shared => Self {
                acquire: &scripts.shared.acquire,
                release: &scripts.shared.release,
                extend: &scripts.shared.extend,
                crowd: Some([shared_of(lock.key), sharing_of(lock.key)]),
                permits: None,
            },
            Sharing::Permits(permits) => Self {
                acquire: &scripts.permits.acquire,
                release: &scripts.permits.release,
                extend: &scripts.permits.extend,
                crowd: None,
                permits: Some(permits.to_string()),
            },
        }
    }

    /// The keys that every kind has, and those of this one.
    pub(super) fn keys<'k>(&'k self, common: &[&'k Key]) -> Keys<'k> {
        common.iter().copied().chain(self.crowd.iter().flatten()).collect()
    }

    /// The arguments that every kind has, and those of this one.
    pub(super) fn args<'k>(&'k self, common: &[&'k [u8]]) -> Args<'k> {
        common.iter().copied().chain(self.permits.as_ref().map(String::as_bytes)).collect()
    }
}
