//! A rolling change of a struct: builds side by side on one Redis, each sees only its own shape, with no attribute from the
//! user.

use keylatch::{CachedCall, Keylatch, cached};

use crate::support::{RedisServer, keylatch};

/// What one build sees when its turn comes: what it finds, what it is answered, and what it finds then. `true` is its own
/// value, `false` would be garbage.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Turn {
    found: Option<bool>,
    answered: bool,
    stored: Option<bool>,
}

/// Found nothing, and stored its own.
const LOADED: Turn = Turn { found: None, answered: true, stored: Some(true) };
/// Found its own.
const HIT: Turn = Turn { found: Some(true), ..LOADED };

/// One build: its `Profile`, and a cached function of a path and a key that all builds share. Inside of a function, because
/// in a module of its own it would have a path of its own, and see nothing of the others for that reason alone.
macro_rules! build {
    ($name:ident, [$($option:tt)*], { $($field:ident: $type:ty = $value:expr),* $(,)? } $($items:item)*) => {
        async fn $name(cache: &Keylatch) -> Turn {
            $($items)*

            #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
            struct Profile {
                $($field: $type,)*
            }

            #[cached(key = "profile:{id}", ttl = "10m", skip(cache), using = cache, $($option)*)]
            async fn profile(cache: &Keylatch, id: u64) -> Profile {
                expected()
            }

            fn expected() -> Profile {
                Profile { $($field: $value,)* }
            }

            let own = |seen: Option<Profile>| seen.map(|seen| seen == expected());
            let found = own(profile(cache, 1).peek().await.expect("the server is up"));
            let answered = profile(cache, 1).await == expected();
            let stored = own(profile(cache, 1).peek().await.expect("the server is up"));
            Turn { found, answered, stored }
        }
    };
}

/// Two builds take turns: each finds what the other wrote to be no value and loads its own, which is a hit.
macro_rules! apart {
    ($cache:expr, $one:ident, $($other:ident),+ $(,)?) => {$(
        $one($cache).await;
        for _ in 0..2 {
            assert_eq!($other($cache).await, LOADED, "{} to {}", stringify!($one), stringify!($other));
            assert_eq!($other($cache).await, HIT, "{}", stringify!($other));
            assert_eq!($one($cache).await, LOADED, "{} to {}", stringify!($other), stringify!($one));
            assert_eq!($one($cache).await, HIT, "{}", stringify!($one));
        }
    )+};
}

macro_rules! builds {
    ($module:ident, [$($codec:tt)*]) => {
        mod $module {
            use super::*;

            build!(original, [$($codec)*], { name: String = "Ada".into(), mail: String = "ada@".into(), age: u32 = 36 });
            // The same again, and its entries are shared: where others are apart, it is by their shapes.
            build!(alike, [$($codec)*], { name: String = "Ada".into(), mail: String = "ada@".into(), age: u32 = 36 });
            build!(gained, [$($codec)*], {
                name: String = "Ada".into(), mail: String = "ada@".into(), age: u32 = 36, nick: Option<String> = Some("A".into()),
            });
            build!(lost, [$($codec)*], { name: String = "Ada".into(), age: u32 = 36 });
            build!(lost_last, [$($codec)*], { name: String = "Ada".into(), mail: String = "ada@".into() });
            build!(renamed, [$($codec)*], { name: String = "Ada".into(), email: String = "ada@".into(), age: u32 = 36 });
            build!(retyped, [$($codec)*], { name: String = "Ada".into(), mail: String = "ada@".into(), age: i32 = -36 });
            build!(optional, [$($codec)*], { name: String = "Ada".into(), mail: Option<String> = None, age: u32 = 36 });
            build!(another_version, [$($codec)* version = 2], {
                name: String = "AL".into(), mail: String = "ada@".into(), age: u32 = 36,
            });
            build!(ranked, [$($codec)*], { ranks: Vec<Rank> = vec![Rank::Guest, Rank::Owner(7)] }
                #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
                enum Rank { Guest, Owner(u32) }
            );
            build!(ranked_otherwise, [$($codec)*], { ranks: Vec<Rank> = vec![Rank::Member, Rank::Owner(7)] }
                #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
                enum Rank { Member, Owner(u32) }
            );
            build!(ranked_deeper, [$($codec)*], { ranks: Vec<Rank> = vec![Rank::Guest, Rank::Owner(-7)] }
                #[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
                enum Rank { Guest, Owner(i64) }
            );

            #[tokio::test]
            async fn each_build_sees_its_own_shape() {
                let server = RedisServer::start();
                let cache = &keylatch(&server);
                apart!(cache, original, gained, lost, lost_last, renamed, retyped, optional, another_version);
                apart!(cache, gained, lost);
                apart!(cache, ranked, ranked_otherwise, ranked_deeper);
            }

            #[tokio::test]
            async fn builds_of_one_shape_share_their_entries() {
                let server = RedisServer::start();
                let cache = &keylatch(&server);
                assert_eq!(original(cache).await, LOADED);
                assert_eq!(alike(cache).await, HIT);
            }

            /// Without names in the bytes, the order is all there is; with them, either order reads either.
            #[tokio::test]
            async fn swapped_fields_are_never_mixed_up() {
                build!(swapped, [$($codec)*], { mail: String = "ada@".into(), name: String = "Ada".into(), age: u32 = 36 });
                let server = RedisServer::start();
                let cache = &keylatch(&server);
                for _ in 0..2 {
                    for turn in [original(cache).await, swapped(cache).await] {
                        assert!(turn.answered && turn.found != Some(false) && turn.stored == Some(true), "{turn:?}");
                    }
                }
            }
        }
    };
}

builds!(by_default, []);
builds!(by_message_pack, [codec = message_pack,]);
builds!(by_json, [codec = json,]);
builds!(by_postcard, [codec = postcard,]);
builds!(by_bincode, [codec = bincode,]);

mod another_codec {
    use super::*;

    build!(message_pack, [codec = message_pack], { name: String = "Ada".into(), age: u32 = 36 });
    build!(json, [codec = json], { name: String = "Ada".into(), age: u32 = 36 });
    build!(postcard, [codec = postcard], { name: String = "Ada".into(), age: u32 = 36 });
    build!(bincode, [codec = bincode], { name: String = "Ada".into(), age: u32 = 36 });

    #[tokio::test]
    async fn entries_of_another_codec_are_misses() {
        let server = RedisServer::start();
        let cache = &keylatch(&server);
        apart!(cache, message_pack, json, postcard, bincode);
        apart!(cache, json, postcard, bincode);
        apart!(cache, postcard, bincode);
    }
}
