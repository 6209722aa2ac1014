//! What generated code may name. A list, no logic. Not a stable API: the macros are pinned to this very version.

pub use std::concat;
pub use std::module_path;
pub use std::option::Option;
pub use std::time::Duration;

pub use crate::cache::{Again, Named, Records, again, batch, collected, entries, keyed, once, owned};
pub use crate::cache::{
    Function, Keeper, Life, Options, Plan, Put, Verdict, accepts, always, call, call_aging, call_refreshing,
    life, life_by, missing, shape, success,
};
pub use crate::codec::codec;
pub use crate::instance::{global, home};
pub use crate::invalidation::{Invalidation, When, invalidate};
pub use crate::key::{part, path_of};
pub use crate::lock::{LockBuilder as Lock, refusal, with_lock};

#[cfg(feature = "test-util")]
pub use crate::lock::drop_every_nth_push;

/// The conformance suites of stores and of lock masters, for tests of every topology.
#[cfg(feature = "test-util")]
pub async fn conforms(keylatch: &crate::Keylatch) {
    crate::store::conforms(keylatch).await;
    crate::lock::master_conforms(keylatch).await;
}

/// The built-in codecs by name.
pub mod codecs {
    #[cfg(feature = "bincode")]
    pub use crate::codec::Bincode;
    #[cfg(feature = "json")]
    pub use crate::codec::Json;
    pub use crate::codec::MessagePack;
    #[cfg(feature = "postcard")]
    pub use crate::codec::Postcard;
}

/// The formats of `compress` by name.
pub mod compressions {
    #[cfg(feature = "lz4")]
    pub use crate::codec::Compression::Lz4;
    #[cfg(feature = "zstd")]
    pub use crate::codec::Compression::Zstd;
}
