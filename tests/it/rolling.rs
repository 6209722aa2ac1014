//! A rolling change of a struct: builds side by side on one Redis, each sees only its own shape.

use keylatch::{CachedCall, Keylatch, cached};

use crate::support::{RedisServer, keylatch};

/// One build: its `Profile`, and a cached function under a key that all builds share.
macro_rules! build {
    ($name:ident, $codec:ident, version = $version:literal, { $($field:ident: $type:ty = $value:expr),* $(,)? }) => {
        mod $name {
            use super::*;

            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            pub(super) struct Profile {
                $($field: $type,)*
            }

            #[cached(key = "profile:{id}", ttl = "10m", codec = $codec, version = $version, skip(cache), using = cache)]
            pub(super) async fn profile(cache: &Keylatch, id: u64) -> Profile {
                expected()
            }

            pub(super) fn expected() -> Profile {
                Profile { $($field: $value,)* }
            }
        }
    };
}

macro_rules! builds {
    ($module:ident, $codec:ident) => {
        mod $module {
            use super::*;

            build!(original, $codec, version = 1, { name: String = "Ada".into(), mail: String = "ada@".into(), age: u32 = 36 });
            build!(gained, $codec, version = 1, {
                name: String = "Ada".into(), mail: String = "ada@".into(), age: u32 = 36, nick: Option<String> = Some("A".into()),
            });
            build!(lost, $codec, version = 1, { name: String = "Ada".into(), age: u32 = 36 });
            build!(renamed, $codec, version = 1, { name: String = "Ada".into(), email: String = "ada@".into(), age: u32 = 36 });
            build!(retyped, $codec, version = 1, { name: String = "Ada".into(), mail: String = "ada@".into(), age: i32 = -36 });
            build!(another_version, $codec, version = 2, { name: String = "AL".into(), mail: String = "ada@".into(), age: u32 = 36 });

            #[tokio::test]
            async fn each_build_sees_its_own_shape() {
                let server = RedisServer::start();
                let cache = keylatch(&server);
                macro_rules! check {
                    ($writer:ident, $reader:ident) => {
                        assert_eq!($writer::profile(&cache, 1).await, $writer::expected());
                        assert_eq!($reader::profile(&cache, 1).peek().await.unwrap(), None, stringify!($writer to $reader));
                        assert_eq!($reader::profile(&cache, 1).await, $reader::expected());
                        assert_eq!($writer::profile(&cache, 1).peek().await.unwrap(), None, stringify!($reader to $writer));
                        assert_eq!($writer::profile(&cache, 1).await, $writer::expected());
                    };
                }
                check!(original, gained);
                check!(original, lost);
                check!(original, renamed);
                check!(original, retyped);
                check!(original, another_version);
                check!(gained, lost);
                // An entry of one's own shape is a hit.
                assert_eq!(original::profile(&cache, 1).await, original::expected());
                assert_eq!(original::profile(&cache, 1).peek().await.unwrap(), Some(original::expected()));
            }
        }
    };
}

builds!(by_message_pack, message_pack);
builds!(by_json, json);
builds!(by_postcard, postcard);
builds!(by_bincode, bincode);

mod positional {
    use super::*;

    build!(original, postcard, version = 1, { name: String = "Ada".into(), mail: String = "ada@".into() });
    build!(swapped, postcard, version = 1, { mail: String = "ada@".into(), name: String = "Ada".into() });
    build!(as_json, json, version = 1, { name: String = "Ada".into(), mail: String = "ada@".into() });

    #[tokio::test]
    async fn swapped_fields_and_another_codec_are_misses() {
        let server = RedisServer::start();
        let cache = keylatch(&server);
        assert_eq!(original::profile(&cache, 1).await, original::expected());
        assert_eq!(swapped::profile(&cache, 1).await, swapped::expected());
        assert_eq!(original::profile(&cache, 1).await, original::expected());
        assert_eq!(as_json::profile(&cache, 1).await, as_json::expected());
        assert_eq!(original::profile(&cache, 1).peek().await.unwrap(), None);
    }
}
